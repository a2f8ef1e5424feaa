//! `CREATE|ALTER|DROP USER`, `CREATE|DROP TOKEN`.
//!
//! It only says what is asked for. A password is shown nowhere; it knows nothing of which users exist.

use std::fmt;
use std::time::Duration;

use sqlparser::tokenizer::Token;

use super::dialect::Cursor;
use super::statement::Statement;
use crate::limits::PARAMETERS_MAX;
use crate::{Error, Result};

/// A statement about users or tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserStatement {
    /// `CREATE USER [IF NOT EXISTS] name [PASSWORD 'text' | PASSWORD $1]`.
    Create {
        /// The user's name, folded.
        name: String,
        /// The password; without one, only tokens and certificates prove who it is.
        password: Option<Password>,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `ALTER USER name PASSWORD 'text'`.
    Alter {
        /// The user's name, folded.
        name: String,
        /// The new password.
        password: Password,
    },
    /// `DROP USER [IF EXISTS] name`.
    Drop {
        /// The user's name, folded.
        name: String,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `CREATE TOKEN [name] FOR user [EXPIRES IN n HOURS|DAYS]`.
    CreateToken {
        /// What it is for.
        name: Option<String>,
        /// Whose it is.
        user: String,
        /// How long it is accepted.
        ttl: Option<Duration>,
    },
    /// `DROP TOKEN id`.
    DropToken {
        /// The token's id.
        id: String,
    },
}

/// A password as it is written.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// In the statement's text.
    Literal(String),
    /// Bound: the parameter's number, from 1.
    Parameter(usize),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Password::Literal(_) => f.write_str("Literal(***)"),
            Password::Parameter(number) => write!(f, "Parameter({number})"),
        }
    }
}

/// Parses what follows `CREATE`, where that is `USER` or `TOKEN`.
pub fn create(mut cursor: Cursor<'_>) -> Result<Statement> {
    if cursor.words(&["TOKEN"]) {
        return create_token(cursor);
    }
    cursor.expect_words(&["USER"])?;
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = user_name(&mut cursor)?;
    let password = match cursor.words(&["PASSWORD"]) {
        true => Some(password(&mut cursor)?),
        false => None,
    };
    cursor.end()?;
    Ok(Statement::User(UserStatement::Create { name, password, if_not_exists }))
}

/// Parses a statement that begins with `ALTER USER`.
pub fn alter(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["ALTER", "USER"])?;
    let name = user_name(&mut cursor)?;
    cursor.expect_words(&["PASSWORD"])?;
    let password = password(&mut cursor)?;
    cursor.end()?;
    Ok(Statement::User(UserStatement::Alter { name, password }))
}

/// Parses what follows `DROP`, where that is `USER` or `TOKEN`.
pub fn drop(mut cursor: Cursor<'_>) -> Result<Statement> {
    if cursor.words(&["TOKEN"]) {
        let id = cursor.name_or_string("the id of a token, as `SHOW TOKENS` has it")?;
        cursor.end()?;
        return Ok(Statement::User(UserStatement::DropToken { id }));
    }
    cursor.expect_words(&["USER"])?;
    let if_exists = cursor.words(&["IF", "EXISTS"]);
    let name = user_name(&mut cursor)?;
    cursor.end()?;
    Ok(Statement::User(UserStatement::Drop { name, if_exists }))
}

fn create_token(mut cursor: Cursor<'_>) -> Result<Statement> {
    // `FOR` is a reserved word, but quoted it may be the name.
    let name = match cursor.peek_word().as_deref() {
        Some("FOR") => None,
        _ => Some(cursor.name_or_string("a name or `FOR`")?),
    };
    cursor.expect_words(&["FOR"])?;
    let user = user_name(&mut cursor)?;
    let ttl = match cursor.words(&["EXPIRES", "IN"]) {
        true => Some(time_to_live(&mut cursor)?),
        false => None,
    };
    cursor.end()?;
    Ok(Statement::User(UserStatement::CreateToken { name, user, ttl }))
}

fn user_name(cursor: &mut Cursor<'_>) -> Result<String> {
    cursor.name_or_string("a user name")
}

/// What stands there may be a password that was written wrongly, so it is not shown.
fn password(cursor: &mut Cursor<'_>) -> Result<Password> {
    let wrong = || {
        Error::input("expected a password as a `'string'` or a parameter such as `$1`")
            .with_hint("double a quote inside of it: 'it''s'")
    };
    let password = match cursor.parser.next_token().token {
        Token::SingleQuotedString(text) => Password::Literal(text),
        Token::Placeholder(text) => {
            let number = text.strip_prefix('$').and_then(|digits| digits.parse().ok());
            let number = number.filter(|number| (1..=PARAMETERS_MAX).contains(number));
            Password::Parameter(number.ok_or_else(wrong)?)
        }
        _ => return Err(wrong()),
    };
    match cursor.parser.peek_token().token {
        Token::EOF | Token::SemiColon => Ok(password),
        _ => Err(wrong()),
    }
}

fn time_to_live(cursor: &mut Cursor<'_>) -> Result<Duration> {
    let number = cursor.unsigned("a number of hours or days")?;
    let hours = match cursor.peek_word().as_deref() {
        Some("HOUR" | "HOURS") => 1,
        Some("DAY" | "DAYS") => 24,
        _ => return Err(cursor.expected("`HOURS` or `DAYS`")),
    };
    cursor.parser.next_token();
    let seconds = number.checked_mul(hours * 3600);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| Error::input(format!("expected fewer hours or days, found {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse;

    fn user(sql: &str) -> UserStatement {
        match parse(sql).unwrap() {
            Statement::User(statement) => statement,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn statements_of_every_form() {
        let literal = |text: &str| Password::Literal(text.into());
        assert_eq!(
            user("CREATE USER Ada PASSWORD 'it''s me';"),
            UserStatement::Create { name: "ada".into(), password: Some(literal("it's me")), if_not_exists: false }
        );
        assert_eq!(
            user("create user if not exists \"Ada\" password $2"),
            UserStatement::Create { name: "Ada".into(), password: Some(Password::Parameter(2)), if_not_exists: true }
        );
        assert_eq!(
            user("ALTER USER 'ada@x' PASSWORD 'y'"),
            UserStatement::Alter { name: "ada@x".into(), password: literal("y") }
        );
        assert_eq!(user("DROP USER IF EXISTS ada"), UserStatement::Drop { name: "ada".into(), if_exists: true });
        assert_eq!(user("DROP TOKEN tk1"), UserStatement::DropToken { id: "tk1".into() });
        assert_eq!(
            user("CREATE TOKEN FOR ada"),
            UserStatement::CreateToken { name: None, user: "ada".into(), ttl: None }
        );
        assert_eq!(
            user("CREATE TOKEN 'ada''s laptop' FOR ada EXPIRES IN 3 DAYS"),
            UserStatement::CreateToken {
                name: Some("ada's laptop".into()),
                user: "ada".into(),
                ttl: Some(Duration::from_secs(3 * 24 * 3600))
            }
        );
        assert_eq!(
            user("CREATE TOKEN laptop FOR ada EXPIRES IN 1 HOUR"),
            UserStatement::CreateToken {
                name: Some("laptop".into()),
                user: "ada".into(),
                ttl: Some(Duration::from_secs(3600))
            }
        );
    }

    #[test]
    fn a_password_is_in_no_error_and_no_debug_text() {
        for sql in [
            "CREATE USER ada PASSWORD hidden",
            "CREATE USER ada PASSWORD \"hidden\"",
            "CREATE USER ada PASSWORD 'a' hidden",
            "ALTER USER ada PASSWORD 'a'hidden'",
            "ALTER USER ada PASSWORD $hidden",
            "ALTER USER ada PASSWORD 4711",
            "ALTER USER ada PASSWORD $0",
            "ALTER USER ada PASSWORD $18446744073709551615",
        ] {
            let error = parse(sql).unwrap_err().to_string();
            assert!(!error.contains("hidden") && !error.contains("4711"), "{error}");
        }
        assert!(!format!("{:?}", user("CREATE USER ada PASSWORD 'hidden'")).contains("hidden"));
    }
}
