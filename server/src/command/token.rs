//! `limn token`: secrets for programs, instead of passwords.
//!
//! Each action is a statement that the server runs. The secret goes to standard output alone, so that a script can take
//! it; it is shown this once.

use arrow::array::AsArray;
use arrow::record_batch::RecordBatch;
use limn_client::Client;

use super::connection::{connect, own};
use super::sql::print_rows;
use super::user::quoted;
use crate::config::{TokenAction, TokenFlags};
use crate::{Error, Result, telemetry};

/// Runs one action.
pub async fn run(flags: TokenFlags) -> Result<()> {
    telemetry::start_logging("warn");
    let (client, server) = connect(&flags.server).await?;
    let done = act(&client, flags.action).await;
    drop(client);
    if let Some(server) = server {
        server.stop().await?;
    }
    done
}

async fn act(client: &Client, action: TokenAction) -> Result<()> {
    match action {
        TokenAction::Create { user, name, expires } => {
            let name = name.map(|name| format!("'{}' ", name.replace('\'', "''"))).unwrap_or_default();
            let expires = expires.map(|time| format!(" EXPIRES IN {} HOURS", time.as_secs() / 3600));
            let sql = format!("CREATE TOKEN {name}FOR {}{}", quoted(&user), expires.unwrap_or_default());
            let rows = client.query(&sql).await.map_err(own)?.into_batches().await.map_err(own)?;
            let row = rows.iter().find(|batch| batch.num_rows() > 0);
            let row = row.ok_or_else(|| Error::internal("the server answered no token"))?;
            println!("{}", text(row, "token")?);
            eprintln!("token `{}` of `{user}`: keep it, it is not shown again", text(row, "token_id")?);
        }
        TokenAction::Revoke { id } => {
            client.execute(&format!("DROP TOKEN {}", quoted(&id))).await.map_err(own)?;
            eprintln!("revoked token `{id}`");
        }
        TokenAction::List => print_rows(client.query("SHOW TOKENS").await.map_err(own)?).await?,
    }
    Ok(())
}

/// A text of the first row.
fn text<'a>(row: &'a RecordBatch, column: &str) -> Result<&'a str> {
    let column = row.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
    column.map(|column| column.value(0)).ok_or_else(|| Error::internal("the server's answer is no token"))
}
