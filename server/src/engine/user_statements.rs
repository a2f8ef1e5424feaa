//! `CREATE|ALTER|DROP USER`, `CREATE|DROP TOKEN`, `SHOW USERS`, `SHOW TOKENS`.
//!
//! Secrets go in and, once, out; no hash is ever a value of SQL. It knows nothing of how secrets are kept.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::scalar::ScalarValue;

use super::output::{table, texts};
use super::{Answer, Description, Kind, output};
use crate::registry::users::Users;
use crate::sql::user::{Password, UserStatement};
use crate::{Error, Result};

/// What a statement about users would answer.
pub(super) fn describe(statement: &UserStatement) -> Description {
    let (kind, schema) = match statement {
        UserStatement::CreateToken { .. } => (Kind::EffectWithRows, token_schema()),
        _ => (Kind::Effect, Arc::new(Schema::empty())),
    };
    let parameters = match password(statement) {
        Some(Password::Parameter(number)) => vec![Some(DataType::Utf8); *number],
        _ => Vec::new(),
    };
    Description { kind, schema, parameters }
}

/// Runs it.
pub(super) async fn run(users: &Users, statement: UserStatement, parameters: &[ScalarValue]) -> Result<Answer> {
    let expected = describe(&statement).parameters.len();
    if parameters.len() != expected {
        return Err(Error::input(format!("expected {expected} bound parameters, found {}", parameters.len())));
    }
    match statement {
        UserStatement::Create { name, password, if_not_exists } => {
            let password = password.map(|password| text_of(password, parameters)).transpose()?;
            users.create(&name, password.as_deref(), if_not_exists).await?;
            output::done()
        }
        UserStatement::Alter { name, password } => {
            users.set_password(&name, &text_of(password, parameters)?).await?;
            output::done()
        }
        UserStatement::Drop { name, if_exists } => {
            users.remove(&name, if_exists).await?;
            output::done()
        }
        UserStatement::CreateToken { name, user, ttl } => {
            let new = users.create_token(&user, name.as_deref(), ttl).await?;
            let row = table(vec![
                ("token_id", texts([Some(&new.id)])),
                ("user_name", texts([Some(&user)])),
                ("token", texts([Some(&new.secret)])),
                ("expires_at", instants([Some(new.expires_at)])),
            ])?;
            Ok(output::finished(row.with_schema(token_schema())?, Some(1)))
        }
        UserStatement::DropToken { id } => {
            users.revoke_token(&id).await?;
            output::done()
        }
    }
}

/// The columns of the one row that `CREATE TOKEN` answers.
fn token_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let expires_at = Field::new("expires_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    Arc::new(Schema::new(vec![text("token_id"), text("user_name"), text("token"), expires_at]))
}

fn password(statement: &UserStatement) -> Option<&Password> {
    match statement {
        UserStatement::Create { password, .. } => password.as_ref(),
        UserStatement::Alter { password, .. } => Some(password),
        _ => None,
    }
}

fn text_of(password: Password, parameters: &[ScalarValue]) -> Result<String> {
    let number = match password {
        Password::Literal(text) => return Ok(text),
        Password::Parameter(number) => number,
    };
    match number.checked_sub(1).and_then(|index| parameters.get(index)) {
        Some(
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)),
        ) => Ok(text.clone()),
        // What it is must not be said: it may be the password.
        Some(value) => Err(Error::input(format!("parameter ${number}: expected a text, found {}", value.data_type()))),
        None => Err(Error::input(format!("parameter ${number} is not bound"))),
    }
}

/// `SHOW USERS`: no hashes.
pub(super) fn show_users(users: &Users) -> Result<RecordBatch> {
    let rows = users.users();
    let has_password: BooleanArray = rows.iter().map(|row| Some(row.has_password)).collect();
    table(vec![
        ("user_name", texts(rows.iter().map(|row| Some(&row.name)))),
        ("has_password", Arc::new(has_password)),
        ("created_at", instants(rows.iter().map(|row| Some(row.created_at)))),
        ("password_changed_at", instants(rows.iter().map(|row| row.password_changed_at))),
    ])
}

/// `SHOW TOKENS`: no secrets and no hashes.
pub(super) fn show_tokens(users: &Users) -> Result<RecordBatch> {
    let (rows, now) = (users.tokens(), Utc::now());
    let state = |revoked: bool, expires_at: DateTime<Utc>| match (revoked, now < expires_at) {
        (true, _) => "revoked",
        (false, true) => "live",
        (false, false) => "expired",
    };
    table(vec![
        ("token_id", texts(rows.iter().map(|row| Some(&row.id)))),
        ("user_name", texts(rows.iter().map(|row| Some(&row.user)))),
        ("name", texts(rows.iter().map(|row| row.name.as_ref()))),
        ("state", texts(rows.iter().map(|row| Some(state(row.revoked_at.is_some(), row.expires_at))))),
        ("created_at", instants(rows.iter().map(|row| Some(row.created_at)))),
        ("expires_at", instants(rows.iter().map(|row| Some(row.expires_at)))),
        ("revoked_at", instants(rows.iter().map(|row| row.revoked_at))),
    ])
}

fn instants(values: impl IntoIterator<Item = Option<DateTime<Utc>>>) -> ArrayRef {
    let micros: TimestampMicrosecondArray =
        values.into_iter().map(|value| value.map(|instant| instant.timestamp_micros())).collect();
    Arc::new(micros.with_timezone("UTC"))
}
