//! Rust source as identifiers and punctuation with their lines: all that the style rules look at.
//!
//! Comments are kept apart; the content of strings and characters is dropped, so that no rule trips over a word in a
//! text. It does not parse: a rule that needs more than the order of tokens does not belong into the gate.

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An identifier or keyword.
    Ident(String),
    /// One character of punctuation.
    Punct(char),
    /// A string, character, number or lifetime.
    Literal,
}

/// A token and the line on which it begins, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its line.
    pub line: usize,
}

impl Token {
    /// The identifier's text, where it is one.
    pub fn ident(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ident(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it is this punctuation.
    pub fn is(&self, punct: char) -> bool {
        self.kind == Kind::Punct(punct)
    }
}

/// A source file's tokens, and its comments with their lines.
#[derive(Debug, Default)]
pub struct Lexed {
    /// The tokens in order.
    pub tokens: Vec<Token>,
    /// The comments' texts in order.
    pub comments: Vec<(usize, String)>,
}

/// Splits a source text.
pub fn lex(source: &str) -> Lexed {
    let mut lexer = Lexer { chars: source.chars().collect(), at: 0, line: 1, lexed: Lexed::default() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.lexed
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    lexed: Lexed,
}

impl Lexer {
    fn step(&mut self) {
        let line = self.line;
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => {
                let text = self.take_while(|c| c != '\n');
                self.lexed.comments.push((line, text));
            }
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(line),
            ('r' | 'b' | 'c', _) if self.prefixed_string() => {}
            ('\'', _) => self.quote(line),
            (c, _) if c.is_whitespace() => self.advance(),
            (c, _) if c.is_alphabetic() || c == '_' => {
                let name = self.take_while(|c| c.is_alphanumeric() || c == '_');
                self.push(Kind::Ident(name), line);
            }
            (c, _) if c.is_ascii_digit() => {
                self.take_while(|c| c.is_alphanumeric() || c == '_');
                self.push(Kind::Literal, line);
            }
            (c, _) => {
                self.advance();
                self.push(Kind::Punct(c), line);
            }
        }
    }

    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn advance(&mut self) {
        if self.peek(0) == '\n' {
            self.line += 1;
        }
        self.at += 1;
    }

    fn push(&mut self, kind: Kind, line: usize) {
        self.lexed.tokens.push(Token { kind, line });
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let from = self.at;
        while self.at < self.chars.len() && keep(self.peek(0)) {
            self.advance();
        }
        self.chars.iter().skip(from).take(self.at - from).collect()
    }

    fn block_comment(&mut self) {
        let (line, from, mut depth) = (self.line, self.at, 0usize);
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.advance();
                    continue;
                }
            }
            self.advance();
            self.advance();
            if depth == 0 {
                break;
            }
        }
        let text = self.chars.iter().skip(from).take(self.at - from).collect();
        self.lexed.comments.push((line, text));
    }

    /// A string from its opening quote on.
    fn string(&mut self, line: usize) {
        self.advance();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                self.advance();
            }
            self.advance();
        }
        self.advance();
        self.push(Kind::Literal, line);
    }

    /// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`, `b'…'`; `false` where it is an identifier after all.
    fn prefixed_string(&mut self) -> bool {
        let line = self.line;
        let mut ahead = 0;
        while matches!(self.peek(ahead), 'r' | 'b' | 'c') && ahead < 2 {
            ahead += 1;
        }
        let raw = (0..ahead).any(|i| self.peek(i) == 'r');
        let mut hashes = 0;
        while raw && self.peek(ahead + hashes) == '#' {
            hashes += 1;
        }
        match self.peek(ahead + hashes) {
            '"' if raw => {
                (0..ahead + hashes + 1).for_each(|_| self.advance());
                self.raw_string(hashes);
                self.push(Kind::Literal, line);
                true
            }
            '"' => {
                (0..ahead).for_each(|_| self.advance());
                self.string(line);
                true
            }
            '\'' if ahead == 1 && self.peek(0) == 'b' => {
                self.advance();
                self.quote(line);
                true
            }
            _ => false,
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        while self.at < self.chars.len() {
            let closes = self.peek(0) == '"' && (1..=hashes).all(|i| self.peek(i) == '#');
            self.advance();
            if closes {
                (0..hashes).for_each(|_| self.advance());
                return;
            }
        }
    }

    /// A character or a lifetime.
    fn quote(&mut self, line: usize) {
        let is_char = self.peek(1) == '\\' || self.peek(2) == '\'';
        self.advance();
        if is_char {
            if self.peek(0) == '\\' {
                self.advance();
            }
            self.advance();
            self.take_while(|c| c != '\'');
            self.advance();
        } else {
            self.take_while(|c| c.is_alphanumeric() || c == '_');
        }
        self.push(Kind::Literal, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idents(source: &str) -> Vec<String> {
        lex(source).tokens.iter().filter_map(|token| token.ident().map(str::to_string)).collect()
    }

    #[test]
    fn words_in_texts_are_no_identifiers() {
        let source = r###"let a = "x { y"; let b = r#"z " w"#; let c = b"q"; let d = '"'; let e = '\''; f::<'g>(h)"###;
        assert_eq!(idents(source), ["let", "a", "let", "b", "let", "c", "let", "d", "let", "e", "f", "h"]);
    }

    #[test]
    fn comments_are_apart_and_lines_count() {
        let lexed = lex("// one\n/* two\n /* nested */ */ three\n\"a\nb\" four");
        assert_eq!(lexed.comments.len(), 2);
        let lines: Vec<usize> = lexed.tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [3, 4, 5]);
    }

    #[test]
    fn a_raw_identifier_and_a_range_are_not_strings() {
        assert_eq!(idents("r#gen::A; 0..b; c.r; br"), ["r", "gen", "A", "b", "c", "r", "br"]);
    }
}
