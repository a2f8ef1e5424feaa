//! `GetSchema`: the schema of a command's reply, without running anything.

use arrow::datatypes::SchemaRef;
use arrow_flight::sql::{Any, Command};
use arrow_flight::{FlightDescriptor, SchemaResult};
use prost::Message;
use tonic::Status;

use super::service::Shared;
use super::session::Caller;
use super::status::answer;
use super::{catalogs, columns, info, keys, prepared, schemas, statement, table_types, tables, type_info};
use crate::{Error, Result};

/// The answer for the command in `descriptor`.
pub async fn of_descriptor(
    shared: &Shared,
    caller: &Caller,
    descriptor: FlightDescriptor,
) -> Result<SchemaResult, Status> {
    let found = async {
        let malformed = || Error::input("the descriptor is not a Flight SQL command");
        let any = Any::decode(descriptor.cmd.as_ref()).map_err(|_| malformed())?;
        let command = Command::try_from(any).map_err(|_| malformed())?;
        info::schema_result(&*of_command(shared, caller, command).await?)
    };
    answer(found.await)
}

async fn of_command(shared: &Shared, caller: &Caller, command: Command) -> Result<SchemaRef> {
    match command {
        Command::CommandStatementQuery(query) => {
            statement::outside_transactions(query.transaction_id.as_ref())?;
            let sql = statement::accept(&query.query)?;
            let description = statement::describe(shared, &caller.statement(), &sql).await?;
            Ok(columns::annotate(&description.schema))
        }
        Command::CommandPreparedStatementQuery(query) => {
            let prepared = prepared::find(shared, caller, &query.prepared_statement_handle)?;
            Ok(columns::annotate(&prepared.description().schema))
        }
        Command::CommandGetCatalogs(_) => Ok(catalogs::schema()),
        Command::CommandGetDbSchemas(_) => Ok(schemas::schema()),
        Command::CommandGetTables(command) => Ok(tables::schema(&command)),
        Command::CommandGetTableTypes(_) => Ok(table_types::schema()),
        Command::CommandGetSqlInfo(_) => Ok(shared.sql_infos.schema()),
        Command::CommandGetPrimaryKeys(_) => Ok(keys::primary_schema()),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(keys::foreign_schema()),
        Command::CommandGetXdbcTypeInfo(_) => Ok(type_info::schema()),
        other if other.type_url().is_empty() => Err(Error::input("the descriptor has no command")),
        other => Err(Error::unsupported(format!("`{}` has no schema to tell", other.type_url()))),
    }
}
