//! The tokens of the dialect and a cursor over them.
//!
//! sqlparser's generic dialect with table versions turned on, and its parser behind the few calls that our own
//! statements need. It knows no statement.

use std::any::TypeId;

use sqlparser::ast::{Expr, Ident, ObjectName, Query, UnaryOperator, Value as SqlValue};
use sqlparser::dialect::{Dialect, GenericDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::limits::STATEMENT_BYTES_MAX;
use crate::{Error, Result};

/// The generic dialect with table versions.
///
/// sqlparser's own `derive_dialect!` looks for its sources beside the crate that calls it, so it only works inside of
/// sqlparser; this says the same by hand.
#[derive(Debug)]
struct LimnDialect;

/// Answers as the generic dialect does.
macro_rules! as_generic {
    ($($method:ident),+ $(,)?) => {
        $(
            fn $method(&self) -> bool {
                GenericDialect.$method()
            }
        )+
    };
}

impl Dialect for LimnDialect {
    fn dialect(&self) -> TypeId {
        GenericDialect.dialect()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    /// `->` and `->>` bind as in PostgreSQL: with `||`, weaker than `+`, stronger than a comparison.
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let is_other = matches!(parser.peek_token().token, Token::Arrow | Token::LongArrow | Token::StringConcat);
        is_other.then_some(Ok(OTHER_OPERATORS))
    }

    as_generic! {
        supports_unicode_string_literal, supports_partition_by_after_order_by, supports_array_join_syntax,
        supports_group_by_expr, supports_group_by_with_modifier, supports_left_associative_joins_without_parens,
        supports_connect_by, supports_match_recognize, supports_pipe_operator,
        supports_start_transaction_modifier, supports_window_function_null_treatment_arg,
        supports_dictionary_syntax, supports_window_clause_named_window_reference,
        supports_parenthesized_set_variables, supports_select_wildcard_except, support_map_literal_syntax,
        allow_extract_custom, allow_extract_single_quotes, supports_extract_comma_syntax,
        supports_create_view_comment_syntax, supports_parens_around_table_factor,
        supports_values_as_table_factor, supports_create_index_with_clause,
        supports_explain_with_utility_options, supports_limit_comma, supports_update_order_by,
        supports_from_first_select, supports_projection_trailing_commas, supports_asc_desc_in_column_definition,
        supports_try_convert, supports_bitwise_shift_operators, supports_comment_on, supports_load_extension,
        supports_named_fn_args_with_assignment_operator, supports_struct_literal, supports_empty_projections,
        supports_nested_comments, supports_multiline_comment_hints, supports_user_host_grantee,
        supports_string_escape_constant, supports_array_typedef_with_brackets, supports_match_against,
        supports_set_names, supports_comma_separated_set_assignments, supports_filter_during_aggregation,
        supports_select_wildcard_exclude, supports_data_type_signed_suffix, supports_interval_options,
        supports_quote_delimited_string, supports_select_wildcard_replace, supports_select_wildcard_ilike,
        supports_select_wildcard_rename, supports_optimize_table, supports_install, supports_detach,
        supports_prewhere, supports_with_fill, supports_limit_by, supports_interpolate, supports_settings,
        supports_select_format, supports_comment_optimizer_hint, supports_constraint_keyword_without_name,
        supports_key_column_option, supports_comma_separated_trim, supports_cte_without_as,
        supports_select_item_multi_column_alias, supports_xml_expressions,
    }
}

/// Between the parser's numbers for `^`, `&`, `|` and for `+`.
const OTHER_OPERATORS: u8 = 25;

/// Nested parentheses, subqueries and expressions that the parser follows.
const PARSER_DEPTH_MAX: usize = 50;

impl From<ParserError> for Error {
    fn from(error: ParserError) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => {
                return Error::exhausted(format!("expected at most {PARSER_DEPTH_MAX} nested expressions, found more"));
            }
        };
        Error::input(in_our_words(&text))
    }
}

/// sqlparser says `Expected: A, found: B at Line: 1, Column: 2`.
fn in_our_words(text: &str) -> String {
    let mut said = text.replace("found: EOF", "found the end of the statement");
    for (theirs, ours) in [
        ("Expected: ", "expected "),
        (", found: ", ", found "),
        (" at Line: ", " at line "),
        (", Column: ", ", column "),
    ] {
        said = said.replace(theirs, ours);
    }
    let mut chars = said.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// A parser over one statement's tokens, with the statement's text beside it.
pub struct Cursor<'a> {
    /// sqlparser's own parser, for queries, expressions and columns.
    pub parser: Parser<'a>,
    text: &'a str,
}

/// The one dialect value; parsers borrow it.
static DIALECT: LimnDialect = LimnDialect;

impl<'a> Cursor<'a> {
    /// Splits `text` into tokens.
    pub fn new(text: &'a str) -> Result<Self> {
        if text.len() > STATEMENT_BYTES_MAX {
            return Err(Error::exhausted(format!(
                "expected a statement of at most {STATEMENT_BYTES_MAX} bytes, found {}",
                text.len()
            )));
        }
        let mut tokens = Tokenizer::new(&DIALECT, text).tokenize_with_location().map_err(ParserError::from)?;
        free_alias_words(&mut tokens);
        let parser = Parser::new(&DIALECT).with_recursion_limit(PARSER_DEPTH_MAX).with_tokens_with_locations(tokens);
        Ok(Cursor { parser, text })
    }

    /// The next word in upper case, or `None` where the next token is not a bare word.
    pub fn peek_word(&self) -> Option<String> {
        self.peek_word_at(0)
    }

    /// The word `n` tokens ahead in upper case.
    pub fn peek_word_at(&self, n: usize) -> Option<String> {
        match self.parser.peek_nth_token(n).token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
            _ => None,
        }
    }

    /// Takes the words if all of them come next.
    pub fn words(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(n, word)| self.peek_word_at(n).as_deref() == Some(*word));
        if all {
            for _ in words {
                self.parser.next_token();
            }
        }
        all
    }

    /// Takes the words or fails.
    pub fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        match self.words(words) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{}`", words.join(" ")))),
        }
    }

    /// Takes the token if it comes next.
    pub fn token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Takes the token or fails.
    pub fn expect_token(&mut self, token: &Token) -> Result<()> {
        match self.token(token) {
            true => Ok(()),
            false => Err(self.expected(&format!("`{token}`"))),
        }
    }

    /// An identifier, folded to lower case unless it is quoted.
    pub fn name(&mut self, what: &str) -> Result<String> {
        match self.parser.peek_token().token {
            Token::Word(_) => Ok(fold(&self.parser.parse_identifier()?)),
            _ => Err(self.expected(what)),
        }
    }

    /// An identifier (folded) or a string (as it is).
    pub fn name_or_string(&mut self, what: &str) -> Result<String> {
        match self.parser.peek_token().token {
            Token::SingleQuotedString(text) => {
                self.parser.next_token();
                Ok(text)
            }
            _ => self.name(what),
        }
    }

    /// A `'string'`.
    pub fn string(&mut self, what: &str) -> Result<String> {
        match self.parser.peek_token().token {
            Token::SingleQuotedString(text) => {
                self.parser.next_token();
                Ok(text)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A whole number from 0.
    pub fn unsigned(&mut self, what: &str) -> Result<u64> {
        match self.parser.peek_token().token {
            Token::Number(digits, _) => match digits.parse() {
                Ok(number) => {
                    self.parser.next_token();
                    Ok(number)
                }
                Err(_) => Err(self.expected(what)),
            },
            _ => Err(self.expected(what)),
        }
    }

    /// A literal: number (with a sign), string, boolean, NULL.
    pub fn literal(&mut self, what: &str) -> Result<SqlValue> {
        let expr = self.parser.parse_expr()?;
        literal_of(&expr).ok_or_else(|| Error::input(format!("expected {what}, found `{expr}`")))
    }

    /// A possibly qualified name.
    pub fn object_name(&mut self, what: &str) -> Result<ObjectName> {
        match self.parser.peek_token().token {
            Token::Word(_) => Ok(self.parser.parse_object_name(false)?),
            _ => Err(self.expected(what)),
        }
    }

    /// A query up to where it ends.
    pub fn query(&mut self) -> Result<Box<Query>> {
        Ok(self.parser.parse_query()?)
    }

    /// Where the next token begins.
    pub fn location(&self) -> Location {
        self.parser.peek_token().span.start
    }

    /// The statement's text from `location` on, without the closing `;`.
    pub fn text_from(&self, location: Location) -> &'a str {
        let (mut line, mut column) = (1, 1);
        for (at, c) in self.text.char_indices() {
            if (line, column) == (location.line, location.column) {
                let rest = self.text.get(at..).unwrap_or_default().trim_end();
                return rest.strip_suffix(';').unwrap_or(rest).trim_end();
            }
            (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        ""
    }

    /// Takes an optional `;` and fails where anything follows.
    pub fn end(&mut self) -> Result<()> {
        let closed = self.token(&Token::SemiColon);
        while self.token(&Token::SemiColon) {}
        match self.parser.peek_token().token {
            Token::EOF => Ok(()),
            _ if closed => Err(Error::input("expected one statement, found several")
                .with_hint("send them one at a time; `limn sql -f` does that")),
            _ => Err(self.expected("the end of the statement")),
        }
    }

    /// `expected WHAT, found the next token`.
    pub fn expected(&self, what: &str) -> Error {
        let TokenWithSpan { token, span } = self.parser.peek_token();
        match token {
            Token::EOF => Error::input(format!("expected {what}, found the end of the statement")),
            token => Error::input(format!(
                "expected {what}, found `{token}` at line {}, column {}",
                span.start.line, span.start.column
            )),
        }
    }
}

/// Lower case unless quoted.
pub fn fold(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// The value of a literal expression, a signed number included.
pub fn literal_of(expr: &Expr) -> Option<SqlValue> {
    match expr {
        Expr::Value(value) => Some(value.value.clone()),
        Expr::UnaryOp { op, expr } => match (op, literal_of(expr)?) {
            (UnaryOperator::Minus, SqlValue::Number(n, long)) => Some(SqlValue::Number(format!("-{n}"), long)),
            (UnaryOperator::Plus, number @ SqlValue::Number(_, _)) => Some(number),
            _ => None,
        },
        Expr::Nested(inner) => literal_of(inner),
        _ => None,
    }
}

/// `at`, `before` and `changes` are aliases and names like any other unless they open a version clause, which we refuse
/// anyway; `AT TIME ZONE` keeps its keyword.
fn free_alias_words(tokens: &mut [TokenWithSpan]) {
    let significant: Vec<usize> =
        (0..tokens.len()).filter(|i| !matches!(tokens[*i].token, Token::Whitespace(_))).collect();
    for (n, index) in significant.iter().enumerate() {
        let next = significant.get(n + 1).map(|next| tokens[*next].token.clone());
        let opens_clause = match &next {
            Some(Token::LParen) => true,
            Some(Token::Word(word)) => word.keyword == Keyword::TIME || word.keyword == Keyword::LOCAL,
            _ => false,
        };
        if let Token::Word(word) = &mut tokens[*index].token
            && word.quote_style.is_none()
            && !opens_clause
            && matches!(word.keyword, Keyword::AT | Keyword::BEFORE | Keyword::CHANGES)
        {
            word.keyword = Keyword::NoKeyword;
        }
        // As keywords they take no parentheses, which tools write all the same.
        if let Token::Word(word) = &mut tokens[*index].token
            && next == Some(Token::LParen)
            && matches!(word.keyword, Keyword::CURRENT_CATALOG | Keyword::CURRENT_USER | Keyword::SESSION_USER)
        {
            word.keyword = Keyword::NoKeyword;
        }
    }
}
