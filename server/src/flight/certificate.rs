//! Whom a client's certificate names: the subject's common name, else its first DNS name.
//!
//! A reader of just enough DER for that, RFC 5280. The chain was verified by the TLS library before; a certificate that
//! reads otherwise than expected names nobody. It knows nothing of users.

/// `OBJECT IDENTIFIER` 2.5.4.3, a common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `OBJECT IDENTIFIER` 2.5.29.17, alternative names of the subject.
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1D, 0x11];

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT` around the version.
const VERSION: u8 = 0xA0;
/// `[3] EXPLICIT` around the extensions.
const EXTENSIONS: u8 = 0xA3;
/// `[2] IMPLICIT IA5String`, a DNS name.
const DNS_NAME: u8 = 0x82;

/// The name in a certificate that is whole; `None` where it has none, or several common names.
pub fn name(der: &[u8]) -> Option<String> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (body, _) = element(certificate, SEQUENCE)?;
    let mut rest = skip(body, VERSION).unwrap_or(body);
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = any(rest)?.2;
    }
    let (subject, rest) = element(rest, SEQUENCE)?;
    match common_names(subject)?.as_slice() {
        [] => dns_name(rest),
        [name] => Some(name.clone()),
        _ => None,
    }
}

/// The common names of a subject: a sequence of sets of (type, value).
fn common_names(mut subject: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !subject.is_empty() {
        let (mut attributes, rest) = element(subject, SET)?;
        while !attributes.is_empty() {
            let (attribute, others) = element(attributes, SEQUENCE)?;
            let (kind, value) = element(attribute, OBJECT_IDENTIFIER)?;
            if kind == COMMON_NAME {
                names.push(text(value)?);
            }
            attributes = others;
        }
        subject = rest;
    }
    Some(names)
}

/// The first DNS name among the alternative names; `rest` begins at the public key.
fn dns_name(mut rest: &[u8]) -> Option<String> {
    let mut extensions = loop {
        let (tag, content, after) = any(rest)?;
        match tag {
            EXTENSIONS => break element(content, SEQUENCE)?.0,
            _ => rest = after,
        }
    };
    while !extensions.is_empty() {
        let (extension, others) = element(extensions, SEQUENCE)?;
        let (kind, value) = element(extension, OBJECT_IDENTIFIER)?;
        if kind == ALTERNATIVE_NAME {
            let value = skip(value, BOOLEAN).unwrap_or(value);
            let (mut names, _) = element(element(value, OCTET_STRING)?.0, SEQUENCE)?;
            while !names.is_empty() {
                let (tag, content, after) = any(names)?;
                if tag == DNS_NAME {
                    return std::str::from_utf8(content).ok().map(str::to_string);
                }
                names = after;
            }
        }
        extensions = others;
    }
    None
}

/// A string of the kinds that authorities use today. Older ones have encodings in which two names may look alike.
fn text(value: &[u8]) -> Option<String> {
    let (tag, content, _) = any(value)?;
    let text = std::str::from_utf8(content).ok()?;
    (matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) && !text.contains(char::is_control))
        .then(|| text.to_string())
}

/// The content of an element that must come next, and what follows it.
fn element(der: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = any(der)?;
    (tag == expected).then_some((content, rest))
}

/// What follows an optional element, where it is there.
fn skip(der: &[u8], tag: u8) -> Option<&[u8]> {
    element(der, tag).map(|(_, rest)| rest)
}

/// Any element: tag, content, what follows. Lengths are definite and of at most four bytes.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short if short < 0x80 => (usize::from(short), rest),
        long => {
            let bytes = usize::from(long & 0x7F);
            let (digits, rest) = rest.split_at_checked(bytes).filter(|_| (1..=4).contains(&bytes))?;
            (digits.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], length.as_slice(), &content].concat()
    }

    fn attribute(kind: &[u8], tag: u8, value: &str) -> Vec<u8> {
        let attribute = tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[kind]), &tlv(tag, &[value.as_bytes()])]);
        tlv(SET, &[&attribute])
    }

    /// A certificate with what this file looks at; the rest is empty.
    fn certificate(subject: &[&[u8]], names: &[&[u8]]) -> Vec<u8> {
        let empty = tlv(SEQUENCE, &[]);
        let alternative = tlv(
            SEQUENCE,
            &[
                &tlv(OBJECT_IDENTIFIER, &[ALTERNATIVE_NAME]),
                &tlv(BOOLEAN, &[&[0xFF]]),
                &tlv(OCTET_STRING, &[&tlv(SEQUENCE, names)]),
            ],
        );
        let extensions = tlv(EXTENSIONS, &[&tlv(SEQUENCE, &[&alternative])]);
        let version = tlv(VERSION, &[&tlv(0x02, &[&[2]])]);
        let serial = tlv(0x02, &[&[1]]);
        let subject = tlv(SEQUENCE, subject);
        let body = tlv(SEQUENCE, &[&version, &serial, &empty, &empty, &empty, &subject, &empty, &extensions]);
        tlv(SEQUENCE, &[&body, &empty, &tlv(0x03, &[])])
    }

    #[test]
    fn the_common_name_comes_first_and_then_the_first_dns_name() {
        let organisation = attribute(&[0x55, 0x04, 0x0A], UTF8_STRING, "Größe GmbH");
        let ada = attribute(COMMON_NAME, UTF8_STRING, "ada");
        let mail = tlv(0x81, &[b"ada@example.com"]);
        let (first, second) = (tlv(DNS_NAME, &[b"a.example"]), tlv(DNS_NAME, &[b"b.example"]));
        let names: &[&[u8]] = &[&mail, &first, &second];
        assert_eq!(name(&certificate(&[&organisation, &ada], names)).as_deref(), Some("ada"));
        assert_eq!(name(&certificate(&[&organisation], names)).as_deref(), Some("a.example"));
        assert_eq!(name(&certificate(&[], &[])), None);
    }

    #[test]
    fn what_could_mean_two_names_means_none() {
        let (ada, bob) = (attribute(COMMON_NAME, UTF8_STRING, "ada"), attribute(COMMON_NAME, PRINTABLE_STRING, "bob"));
        let dns = tlv(DNS_NAME, &[b"a.example"]);
        assert_eq!(name(&certificate(&[&ada, &bob], &[&dns])), None);
        // BMPString and control characters.
        for odd in [attribute(COMMON_NAME, 0x1E, "\0a"), attribute(COMMON_NAME, UTF8_STRING, "ada\0evil")] {
            assert_eq!(name(&certificate(&[&odd], &[&dns])), None);
        }
    }

    #[test]
    fn broken_certificates_name_nobody() {
        let whole = certificate(&[&attribute(COMMON_NAME, UTF8_STRING, "ada")], &[]);
        // The name stands in the first part of it; what is cut off before its end reads as nothing.
        for end in 0..whole.len() {
            assert_eq!(name(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xFF;
            // No panic; what else it may name is decided by who signs certificates.
            let _ = name(&damaged);
        }
        assert_eq!(name(&[0x30, 0x80, 0, 0]), None);
        assert_eq!(name(&[0x30, 0x85, 0, 0, 0, 0, 0]), None);
    }
}
