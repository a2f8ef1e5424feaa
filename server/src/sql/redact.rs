//! Hides what looks like a secret in the text of a statement, so that the text may be logged and kept.
//!
//! It works on words and quotes and never parses: a statement that fails must not leak its password either. What is
//! hidden without need is a nuisance, what is shown is gone; so doubts are decided for hiding. It cannot know that a
//! value in a list of values belongs to a column named `password`.

mod pieces;
mod scrub;

use pieces::{Kind, Piece};
use scrub::is_secret_name;

/// What stands where a secret stood.
const HIDDEN: &str = "'***'";

/// Words that may stand between the name of a secret and its value.
const BETWEEN: &[&str] = &["AS", "BY", "DEFAULT", "ILIKE", "IN", "IS", "LIKE", "NOT", "TO", "VALUE"];

/// `text` with `'***'` for each literal that looks like a secret: after `PASSWORD`, `TOKEN`, `SECRET`, `KEY`,
/// `IDENTIFIED BY` and names like `api_key`; `password=…` and `scheme://user:password@` inside of literals and
/// comments; and words in them that have the form of well-known tokens or look random.
pub fn redact(text: &str) -> String {
    let pieces = pieces::split(text);
    let words: Vec<usize> = (0..pieces.len()).filter(|&at| pieces[at].is_content()).collect();
    if let Some(redacted) = user_statement(&pieces, &words) {
        return redacted;
    }
    let mut hidden = vec![false; pieces.len()];
    let mut expects = Expects::default();
    for (nth, &at) in words.iter().enumerate() {
        let neighbours = Neighbours { pieces: &pieces, words: &words, nth };
        hidden[at] = expects.take(&pieces[at], &neighbours) || is_named_after(&pieces[at], &neighbours);
    }
    pieces.iter().zip(hidden).map(|(piece, hidden)| if hidden { HIDDEN.into() } else { show(piece) }).collect()
}

/// A piece that is not a secret as a whole; there may be one inside.
fn show(piece: &Piece<'_>) -> String {
    match piece.kind {
        Kind::Literal | Kind::Comment | Kind::Identifier => scrub::scrub(piece.text),
        _ => piece.text.to_string(),
    }
}

/// `CREATE USER … PASSWORD …` and `ALTER USER …`: whatever follows the word is the password, however it is written.
fn user_statement(pieces: &[Piece<'_>], words: &[usize]) -> Option<String> {
    let nth = |nth: usize| words.get(nth).map(|&at| &pieces[at]);
    let is_user = (nth(0)?.is("CREATE") || nth(0)?.is("ALTER")) && nth(1)?.is("USER");
    let password = words.iter().position(|&at| pieces[at].is("PASSWORD")).filter(|_| is_user)?;
    let value = *words.get(password + 1)?;
    let front: String = pieces[..value].iter().map(show).collect();
    let ended = words[password + 2..].iter().all(|&at| pieces[at].text == ";");
    match pieces[value].kind {
        Kind::Placeholder if ended => None,
        // A quote in the password may have ended the literal early: then all of the rest is the password.
        Kind::Literal if ended => Some(front + HIDDEN + &pieces[value + 1..].iter().map(show).collect::<String>()),
        _ => Some(front + HIDDEN),
    }
}

/// What stands around a piece, blanks and comments left out.
struct Neighbours<'a> {
    pieces: &'a [Piece<'a>],
    words: &'a [usize],
    nth: usize,
}

impl<'a> Neighbours<'a> {
    fn ahead(&self, by: usize) -> Option<&'a Piece<'a>> {
        self.words.get(self.nth + by).map(|&at| &self.pieces[at])
    }

    fn before(&self) -> Option<&'a Piece<'a>> {
        self.words.get(self.nth.checked_sub(1)?).map(|&at| &self.pieces[at])
    }
}

/// `'x' AS password`, `'x' = password`.
fn is_named_after(piece: &Piece<'_>, around: &Neighbours<'_>) -> bool {
    let joined = |piece: &Piece<'_>| piece.is("AS") || matches!(piece.text, "=" | "<" | ">" | "!");
    piece.kind == Kind::Literal
        && around.ahead(1).is_some_and(joined)
        && (1..4).filter_map(|by| around.ahead(by)).skip_while(|piece| joined(piece)).take(1).any(names_secret)
}

fn names_secret(piece: &Piece<'_>) -> bool {
    matches!(piece.kind, Kind::Word | Kind::Identifier | Kind::Literal) && is_secret_name(piece.content())
}

/// Whether a secret is to come.
#[derive(Default)]
struct Expects {
    /// The name of a secret was read.
    value: bool,
    /// Numbers are secrets too.
    number: bool,
    /// The name was a literal, as in `map('password', 'x')`.
    named_by_literal: bool,
    /// The value was read; it may go on after `||`.
    taken: bool,
    /// Open parentheses since the name.
    depth: usize,
}

impl Expects {
    /// Reads the next piece; whether it is to be hidden.
    fn take(&mut self, piece: &Piece<'_>, around: &Neighbours<'_>) -> bool {
        match piece.kind {
            Kind::Literal if self.value => {
                self.taken = true;
                true
            }
            Kind::Number if self.value && self.number && !self.taken => {
                self.taken = true;
                true
            }
            Kind::Word | Kind::Identifier | Kind::Literal => {
                self.word(piece, around);
                false
            }
            Kind::Mark => {
                self.mark(piece.text);
                false
            }
            _ => {
                self.end();
                false
            }
        }
    }

    fn word(&mut self, piece: &Piece<'_>, around: &Neighbours<'_>) {
        let by = piece.is("BY") && around.before().is_some_and(|before| before.is("IDENTIFIED"));
        // `CREATE TOKEN name`, `DROP TOKEN id`: what follows is a name.
        let object = around.before().is_some_and(|before| before.is("CREATE") || before.is("DROP"));
        if by || (names_secret(piece) && !object) {
            let content = piece.content().to_ascii_lowercase();
            *self = Expects {
                value: true,
                number: by || content.contains("pass") || content.contains("pwd"),
                named_by_literal: piece.kind == Kind::Literal,
                ..Expects::default()
            };
            return;
        }
        let between = BETWEEN.iter().any(|word| piece.is(word));
        let calls = around.ahead(1).is_some_and(|next| next.text == "(");
        if self.taken || !(between || calls) {
            self.end();
        }
    }

    fn mark(&mut self, mark: &str) {
        match mark {
            "(" | "[" | "{" if self.value => self.depth += 1,
            ")" | "]" | "}" if self.depth > 1 => self.depth -= 1,
            "|" | "+" => self.taken = false,
            "=" | ":" | "<" | ">" | "!" | "~" if !self.taken => {}
            "," if self.depth > 0 || (self.named_by_literal && !self.taken) => {}
            _ => {
                self.depth = 0;
                self.end();
            }
        }
    }

    /// Inside of parentheses after a secret's name everything is taken for one.
    fn end(&mut self) {
        if self.depth == 0 {
            *self = Expects::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[track_caller]
    fn check(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(redact(text), *expected, "{text}");
        }
    }

    #[test]
    fn literals_after_the_name_of_a_secret() {
        check(&[
            (
                "SELECT * FROM t WHERE password = 'geheim' AND a = 'b'",
                "SELECT * FROM t WHERE password = '***' AND a = 'b'",
            ),
            ("SELECT * FROM t WHERE \"Api_Key\"<>'x'", "SELECT * FROM t WHERE \"Api_Key\"<>'***'"),
            ("SET token TO 'abc'", "SET token TO '***'"),
            ("GRANT x IDENTIFIED BY 'abc'", "GRANT x IDENTIFIED BY '***'"),
            ("OPTIONS ('account.key' 'abc', 'region' 'eu')", "OPTIONS ('account.key' '***', 'region' 'eu')"),
            ("SELECT map('password', 'x', 'user', 'y')", "SELECT map('password', '***', 'user', 'y')"),
            ("SELECT 'x' AS password, 'y' AS name", "SELECT '***' AS password, 'y' AS name"),
            ("SELECT 1 WHERE 'x' = secret", "SELECT 1 WHERE '***' = secret"),
            ("WHERE password IN ('a', 'b') AND c IN ('d')", "WHERE password IN ('***', '***') AND c IN ('d')"),
            ("WHERE password = sha256('x') OR c = 'd'", "WHERE password = sha256('***') OR c = 'd'"),
            ("WHERE password = 'a' || 'b' || c || 'd'", "WHERE password = '***' || '***' || c || 'd'"),
            ("SET password = 1234", "SET password = '***'"),
            ("SET password /* why */ = -- who\n 'x'", "SET password /* why */ = -- who\n '***'"),
            ("SET password = $$it's$$", "SET password = '***'"),
            ("SET password = 'größe''s' , b = 'c'", "SET password = '***' , b = 'c'"),
        ]);
    }

    #[test]
    fn the_rest_stays_as_it_is() {
        for text in [
            "",
            "SELECT 'it''s', \"a\"\"b\", 1.5e3, $1, ? FROM t -- größe\n",
            "SELECT password, name FROM users WHERE name = 'ada'",
            "CREATE TABLE t (key INT PRIMARY KEY, v VARCHAR)",
            "SELECT * FROM t WHERE key = 42 AND max_tokens = 5",
            "COPY INTO t FROM 'data/South-West/Region2024/part-00000-3f2b9d0e.parquet'",
            "SELECT * FROM system.runs WHERE run_id = '0123456789abcdef0123456789abcdef'",
            "SELECT 'SouthWestRegion2024ConsumptionKWh', 'http://localhost:8080/a@b'",
            "CREATE TOKEN 'laptop' FOR ada EXPIRES IN 3 DAYS",
            "DROP TOKEN 't-1'",
            "CREATE USER ada",
            "CREATE USER ada PASSWORD $1",
            "PREDICT('m', a) = 'x' AND b = 'tokenizer'",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn passwords_of_users_however_they_are_written() {
        check(&[
            ("CREATE USER ada PASSWORD 'geheim';", "CREATE USER ada PASSWORD '***';"),
            ("create user ada password geheim", "create user ada password '***'"),
            ("ALTER USER ada PASSWORD \"geheim\"", "ALTER USER ada PASSWORD '***'"),
            ("ALTER USER ada PASSWORD 'it's me'", "ALTER USER ada PASSWORD '***'"),
            ("ALTER USER ada PASSWORD 'not closed", "ALTER USER ada PASSWORD '***'"),
            ("ALTER USER ada PASSWORD = 'geheim'", "ALTER USER ada PASSWORD '***'"),
            ("-- for ada\nCREATE USER ada PASSWORD 12 34", "-- for ada\nCREATE USER ada PASSWORD '***'"),
        ]);
    }

    #[test]
    fn secrets_inside_of_literals_and_comments() {
        check(&[
            ("SELECT 'postgres://ada:geheim@host:5432/db'", "SELECT 'postgres://ada:***@host:5432/db'"),
            ("SELECT 'postgres://ada:ge/h@eim@host/db'", "SELECT 'postgres://ada:***@host/db'"),
            ("SELECT 'az://c/x?sv=1&sig=aBc%3D&se=2'", "SELECT 'az://c/x?sv=1&sig=***&se=2'"),
            ("SELECT 'host=h password=geheim user=ada'", "SELECT 'host=h password=*** user=ada'"),
            ("SELECT '{\"api_key\": \"abc d\", \"n\": 1}'", "SELECT '{\"api_key\": \"***\", \"n\": 1}'"),
            ("SELECT 'AccountName=a;AccountKey=abc==;x=y'", "SELECT 'AccountName=a;AccountKey=***;x=y'"),
            ("-- token: abc\nSELECT 1", "-- token: ***\nSELECT 1"),
            ("SELECT 'Authorization: Bearer abc.def'", "SELECT 'Authorization: Bearer ***'"),
        ]);
    }

    #[test]
    fn words_that_have_the_form_of_tokens() {
        check(&[
            ("SELECT 'AKIAIOSFODNN7EXAMPLE'", "SELECT '***'"),
            ("SELECT 'use sk-abcdefghijklmnop1234 now'", "SELECT 'use *** now'"),
            ("SELECT 'eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl'", "SELECT '***'"),
            ("SELECT 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'", "SELECT '***'"),
            ("SELECT 'x9Fq2LmZ0aKd83RtYw1BnV6cQeUj5HsG'", "SELECT '***'"),
        ]);
    }
}
