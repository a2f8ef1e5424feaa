//! Secrets inside of a longer text: pairs like `password=…`, URLs with a password, words in the form of tokens.
//!
//! The text is a literal, a quoted identifier or a comment, quotes included; it knows nothing of statements.

/// What stands where a secret stood.
const HIDDEN: &str = "***";

/// Parts of names that make them the name of a secret.
const SECRET_PARTS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "secrets",
    "token",
    "credential",
    "credentials",
    "apikey",
    "key",
    "sig",
    "signature",
];
/// Ends of names written as one word.
const SECRET_ENDS: &[&str] =
    &["password", "passwd", "secret", "token", "apikey", "accesskey", "accountkey", "privatekey", "secretkey"];
/// Names with `key` that are the names of columns.
const NO_SECRETS: &[&str] = &["primary", "foreign", "partition", "sort", "order", "unique", "group", "cluster"];

/// Beginnings of tokens of well-known services, and how many characters follow at least.
const TOKEN_FORMS: &[(&str, usize)] = &[
    ("sk-", 16),
    ("sk_live_", 8),
    ("rk_live_", 8),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxa-", 10),
    ("hf_", 20),
    ("limn-", 20),
    ("limn_", 20),
];

/// Characters of a word that looks random, at least.
const RANDOM_CHARS_MIN: usize = 24;
/// Characters of a URL that are searched for the end of a password with slashes.
const PASSWORD_CHARS_MAX: usize = 512;
/// Characters of an AWS secret key, which may have slashes.
const AWS_SECRET_CHARS: usize = 40;

/// Whether this is what secrets are called: `password`, `api_key`, `AccountKey`, `fs.azure.account.key`.
pub fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    if SECRET_ENDS.iter().any(|end| lower.ends_with(end)) {
        return true;
    }
    let mut parts = lower.split(|c: char| !c.is_alphanumeric());
    let last = parts.next_back().unwrap_or_default();
    if last == "key" {
        return !parts.any(|part| NO_SECRETS.contains(&part));
    }
    // What a secret is called by ends its name or, as in `password_hash`, begins it.
    parts.next().into_iter().chain([last]).any(|part| part != "key" && SECRET_PARTS.contains(&part))
}

/// `text` with `***` for each secret in it.
pub fn scrub(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // The word that was read last, where a `=` or `:` may follow.
    let mut name = "";
    while let Some(first) = rest.chars().next() {
        if let Some((shown, hidden, after)) = url(rest) {
            out.push_str(shown);
            out.push_str(hidden);
            (rest, name) = (after, "");
        } else if matches!(first, '=' | ':') && is_secret_name(name.trim_matches(['-', '.'])) {
            rest = value(rest, &mut out);
            name = "";
        } else if is_word(first) {
            let (word, after) = split(rest, is_word);
            if has_token_form(word) {
                out.push_str(HIDDEN);
                rest = after;
            } else if let Some(after) = aws_secret(rest) {
                out.push_str(HIDDEN);
                rest = after;
            } else {
                out.push_str(word);
                rest = after;
            }
            if is_scheme(word) && rest.starts_with(' ') {
                let (_, after) = split(rest.trim_start(), |c| !c.is_whitespace() && !matches!(c, '\'' | '"'));
                out.push(' ');
                out.push_str(HIDDEN);
                rest = after;
            }
            name = word;
        } else {
            // `"api_key": "x"` and `password = x`: quotes and blanks keep the name.
            if !matches!(first, '"' | ' ' | '\'') {
                name = "";
            }
            out.push(first);
            rest = rest.strip_prefix(first).unwrap_or_default();
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The beginning of `text` that `belongs`, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let bytes = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(bytes).unwrap_or((text, ""))
}

/// `://user:password@…` at the beginning: what to show, what to write for the password, and the rest with the `@`.
fn url(text: &str) -> Option<(&str, &'static str, &str)> {
    let after = text.strip_prefix("://")?;
    let ends = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '<' | '>');
    let (authority, _) = split(after, |c| !ends(c) && !matches!(c, '/' | '?' | '#'));
    let colon = authority.find(':').filter(|_| !authority.starts_with('['))?;
    let port = authority.get(colon + 1..)?;
    // A slash in the password ends the authority early; what then looks like the port is none.
    let end = match authority.rfind('@') {
        Some(at) => at,
        None if port.chars().all(|c| c.is_ascii_digit()) => return None,
        None => {
            // Bounded, so that a text full of such beginnings costs no more than its length.
            let run: String = after.chars().take(PASSWORD_CHARS_MAX).take_while(|c| !ends(*c)).collect();
            run.rfind('@')?
        }
    };
    let shown = text.get(..3 + colon + 1).filter(|_| colon < end)?;
    Some((shown, HIDDEN, after.get(end..)?))
}

/// `=value` or `: "value"`: writes the separator and `***`; the rest.
fn value<'a>(text: &'a str, out: &mut String) -> &'a str {
    let (separator, rest) = split(text, |c| matches!(c, '=' | ':' | ' ' | '>'));
    out.push_str(separator);
    let quote = rest.chars().next().filter(|c| *c == '"');
    let rest = match quote {
        Some(quote) => {
            out.push(quote);
            rest.strip_prefix(quote).unwrap_or_default()
        }
        None => rest,
    };
    let (secret, after) = match quote {
        Some(quote) => split(rest, |c| c != quote),
        None => split(rest, |c| !c.is_whitespace() && !matches!(c, '&' | ';' | ',' | '\'' | '"' | ')' | '}' | ']')),
    };
    if !secret.is_empty() {
        out.push_str(HIDDEN);
    }
    match is_scheme(secret) {
        true => split(after.trim_start(), |c| !c.is_whitespace() && !matches!(c, '\'' | '"')).1,
        false => after,
    }
}

/// `Bearer x`, `Basic x`: the second word is the secret.
fn is_scheme(word: &str) -> bool {
    word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")
}

fn has_token_form(word: &str) -> bool {
    let known = TOKEN_FORMS.iter().any(|(begin, more)| {
        word.strip_prefix(begin).is_some_and(|rest| rest.chars().filter(char::is_ascii_alphanumeric).count() >= *more)
    });
    // JSON in base64 begins with `eyJ`; a token has it in three parts, RFC 7519.
    let jwt = word.starts_with("eyJ") && word.split('.').count() == 3;
    known || jwt || word.split('.').any(is_random)
}

/// Letters of both cases and digits that change more often than in any name.
fn is_random(word: &str) -> bool {
    let kinds: Vec<u8> = word
        .chars()
        .map(|c| match c {
            _ if c.is_uppercase() => 0,
            _ if c.is_alphabetic() => 1,
            _ if c.is_numeric() => 2,
            _ => 3,
        })
        .collect();
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    kinds.len() >= RANDOM_CHARS_MIN && (0..3).all(|kind| kinds.contains(&kind)) && changes * 20 >= kinds.len() * 9
}

/// An AWS secret key at the beginning; what follows it.
fn aws_secret(text: &str) -> Option<&str> {
    let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '/' | '+');
    let run: String = text.chars().take(AWS_SECRET_CHARS + 1).take_while(is_part).collect();
    let has = |test: fn(&char) -> bool| run.chars().any(|c| test(&c));
    let looks_so = run.len() == AWS_SECRET_CHARS
        && !run.starts_with('/')
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit);
    text.strip_prefix(run.as_str()).filter(|_| looks_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "password",
            "DB_PASSWORD",
            "api_key",
            "AccountKey",
            "fs.azure.account.key",
            "sig",
            "X-Amz-Signature",
            "password_hash",
            "accessToken",
            "key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["", "primary_key", "monkey", "keyed", "tokenizer", "max_tokens", "signal", "passenger", "größe"]
        {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn addresses_without_a_password_stay() {
        for text in ["http://h:80/a@b", "grpc://[::1]:50051", "https://ada@h/x", "a://b", "://", "x:y@z"] {
            assert_eq!(scrub(text), text);
        }
        assert_eq!(scrub("grpc+tls://:x@h, http://a:b@c:80"), "grpc+tls://:***@h, http://a:***@c:80");
    }

    #[test]
    fn pairs() {
        assert_eq!(scrub("secret="), "secret=");
        assert_eq!(scrub("token: Bearer abc def"), "token: *** def");
        assert_eq!(scrub("--token abc"), "--token abc");
        assert_eq!(scrub("a=b&token=c&d=e"), "a=b&token=***&d=e");
        assert_eq!(scrub("password => x, user => y"), "password => ***, user => y");
    }
}
