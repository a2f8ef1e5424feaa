//! Each Flight SQL command to the file that answers it.
//!
//! Decode is done by arrow-flight, work by the command's own file; a method here is a line or two. It knows nothing of
//! statements, and answers what Limn does not do with a text that says so.

use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionRequest,
    ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionEndSavepointRequest, ActionEndTransactionRequest, Any, Command,
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementSubstraitPlan, CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket};
use futures::Stream;
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::direct::Place;
use super::parameters::Binding;
use super::service::Shared;
use super::session::Caller;
use super::statement::{Asked, NO_TRANSACTIONS, outside_transactions};
use super::status::answer;
use super::stream::{self, FlightStream};
use super::{
    cancel, catalogs, info, ingest, keys, prepared, schemas, session_options, statement, table_types, tables,
    type_info, update,
};
use crate::{Error, Result};

/// The Flight SQL service, once the caller is known.
pub struct Dispatch {
    /// What every call may use.
    pub shared: Arc<Shared>,
}

/// Who sent a request; the service has put it there.
fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let found = request.extensions().get::<Caller>().cloned();
    answer(found.ok_or_else(|| Error::internal("a request reached the dispatch without its caller")))
}

/// An answer that says what is not there.
fn unsupported<T>(text: impl Into<String>) -> Result<T, Status> {
    answer(Err(Error::unsupported(text)))
}

fn metadata_info(
    command: &impl ProstMessageExt,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    answer(info::of_command(command, schema, request.into_inner())).map(Response::new)
}

fn metadata_stream(batch: Result<RecordBatch>) -> Result<Response<FlightStream>, Status> {
    let batch = answer(batch)?;
    Ok(Response::new(stream::finished(batch.schema(), vec![batch])))
}

/// Why plans are refused.
pub const NO_SUBSTRAIT: &str = "Substrait plans are not offered: send SQL";

#[tonic::async_trait]
impl FlightSqlService for Dispatch {
    type FlightService = Dispatch;

    async fn do_handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        answer(Err(Error::internal("a handshake is answered before the dispatch")))
    }

    // --- statements -----------------------------------------------------------------------------------------------

    async fn get_flight_info_statement(
        &self,
        command: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        answer(outside_transactions(command.transaction_id.as_ref()))?;
        let sql = answer(statement::accept(&command.query))?;
        let asked = Asked { sql, binding: Binding::default(), promised: None };
        statement::flight_info(&self.shared, &caller, asked, request.into_inner()).await.map(Response::new)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        let caller = caller(&request)?;
        let place = request.extensions().get::<Place>();
        statement::do_get(&self.shared, &caller, &ticket.statement_handle, place).await.map(Response::new)
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        answer(outside_transactions(command.transaction_id.as_ref()))?;
        update::run(&self.shared, &caller, &command.query, Binding::default()).await
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        ingest::run(&self.shared, &caller, command, request).await
    }

    // --- prepared statements --------------------------------------------------------------------------------------

    async fn do_action_close_prepared_statement(
        &self,
        command: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        prepared::close(&self.shared, &command);
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let caller = caller(&request)?;
        prepared::bind(&self.shared, &caller, command, request.into_inner()).await
    }

    async fn do_put_prepared_statement_update(
        &self,
        command: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        prepared::update(&self.shared, &caller, &command, request.into_inner()).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        prepared::flight_info(&self.shared, &caller, &command, request.into_inner()).await.map(Response::new)
    }

    async fn do_get_prepared_statement(
        &self,
        _: CommandPreparedStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        unsupported("a prepared statement's command is no ticket: redeem the one that GetFlightInfo gave")
    }

    // --- metadata -------------------------------------------------------------------------------------------------

    async fn get_flight_info_catalogs(
        &self,
        command: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &catalogs::schema(), request)
    }

    async fn do_get_catalogs(
        &self,
        _: CommandGetCatalogs,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        metadata_stream(catalogs::batch())
    }

    async fn get_flight_info_schemas(
        &self,
        command: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &schemas::schema(), request)
    }

    async fn do_get_schemas(
        &self,
        command: CommandGetDbSchemas,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        answer(self.shared.engine.refresh().await)?;
        metadata_stream(schemas::batch(command, &self.shared.engine.schemas()))
    }

    async fn get_flight_info_tables(
        &self,
        command: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &tables::schema(&command), request)
    }

    async fn do_get_tables(
        &self,
        command: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        let ctx = caller(&request)?.statement();
        metadata_stream(tables::batch(&self.shared, &ctx, command).await)
    }

    async fn get_flight_info_table_types(
        &self,
        command: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &table_types::schema(), request)
    }

    async fn do_get_table_types(
        &self,
        _: CommandGetTableTypes,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        metadata_stream(table_types::batch())
    }

    async fn get_flight_info_sql_info(
        &self,
        command: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &self.shared.sql_infos.schema(), request)
    }

    async fn do_get_sql_info(
        &self,
        command: CommandGetSqlInfo,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        metadata_stream(self.shared.sql_infos.batch(command))
    }

    async fn get_flight_info_primary_keys(
        &self,
        command: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &keys::primary_schema(), request)
    }

    async fn do_get_primary_keys(
        &self,
        _: CommandGetPrimaryKeys,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        metadata_stream(Ok(RecordBatch::new_empty(keys::primary_schema())))
    }

    async fn get_flight_info_exported_keys(
        &self,
        command: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &keys::foreign_schema(), request)
    }

    async fn do_get_exported_keys(
        &self,
        _: CommandGetExportedKeys,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        metadata_stream(Ok(RecordBatch::new_empty(keys::foreign_schema())))
    }

    async fn get_flight_info_imported_keys(
        &self,
        command: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &keys::foreign_schema(), request)
    }

    async fn do_get_imported_keys(
        &self,
        _: CommandGetImportedKeys,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        metadata_stream(Ok(RecordBatch::new_empty(keys::foreign_schema())))
    }

    async fn get_flight_info_cross_reference(
        &self,
        command: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &keys::foreign_schema(), request)
    }

    async fn do_get_cross_reference(
        &self,
        _: CommandGetCrossReference,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        metadata_stream(Ok(RecordBatch::new_empty(keys::foreign_schema())))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        command: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        metadata_info(&command, &type_info::schema(), request)
    }

    async fn do_get_xdbc_type_info(
        &self,
        command: CommandGetXdbcTypeInfo,
        _: Request<Ticket>,
    ) -> Result<Response<FlightStream>, Status> {
        metadata_stream(type_info::batch(command.data_type))
    }

    // --- actions --------------------------------------------------------------------------------------------------

    async fn do_action_cancel_query(
        &self,
        command: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let caller = caller(&request)?;
        answer(cancel::query(&self.shared, &caller.principal, &command))
    }

    /// Bodies of these actions are plain protobuf, not wrapped in `Any`.
    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let caller = caller(&request)?;
        let action = request.into_inner();
        let body = match action.r#type.as_str() {
            "CancelFlightInfo" => {
                answer(cancel::flight_info(&self.shared, &caller.principal, &action.body))?.encode_to_vec()
            }
            "SetSessionOptions" => {
                answer(session_options::set(&self.shared, &caller, &action.body).await)?.encode_to_vec()
            }
            "GetSessionOptions" => session_options::get(&caller).encode_to_vec(),
            "CloseSession" => session_options::close(&self.shared, &caller).encode_to_vec(),
            other => return unsupported(format!("the action `{other}` is not offered")),
        };
        let result = arrow_flight::Result { body: body.into() };
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(result)]))))
    }

    // --- what is not offered --------------------------------------------------------------------------------------

    async fn get_flight_info_fallback(
        &self,
        command: Command,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        match command.type_url() {
            // A descriptor of a path, say.
            "" => answer(Err(Error::input("the descriptor has no command"))),
            other => unsupported(format!("the command `{other}` is not offered")),
        }
    }

    async fn do_get_fallback(&self, _: Request<Ticket>, message: Any) -> Result<Response<FlightStream>, Status> {
        unsupported(format!("a ticket with `{}` is not offered", message.type_url))
    }

    async fn do_put_fallback(
        &self,
        _: Request<PeekableFlightDataStream>,
        message: Any,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        unsupported(format!("the command `{}` is not offered", message.type_url))
    }

    async fn do_put_error_callback(
        &self,
        _: Request<PeekableFlightDataStream>,
        error: DoPutError,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        answer(Err(Error::input(match error {
            DoPutError::MissingCommand => "the stream ended before its first message",
            DoPutError::MissingFlightDescriptor => "the first message of the stream has no descriptor",
        })))
    }

    async fn get_flight_info_substrait_plan(
        &self,
        _: CommandStatementSubstraitPlan,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        unsupported(NO_SUBSTRAIT)
    }

    async fn do_put_substrait_plan(
        &self,
        _: CommandStatementSubstraitPlan,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        unsupported(NO_SUBSTRAIT)
    }

    async fn do_action_begin_transaction(
        &self,
        _: ActionBeginTransactionRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        unsupported(NO_TRANSACTIONS)
    }

    async fn do_action_end_transaction(
        &self,
        _: ActionEndTransactionRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        unsupported(NO_TRANSACTIONS)
    }

    async fn do_action_begin_savepoint(
        &self,
        _: ActionBeginSavepointRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginSavepointResult, Status> {
        unsupported(NO_TRANSACTIONS)
    }

    async fn do_action_end_savepoint(&self, _: ActionEndSavepointRequest, _: Request<Action>) -> Result<(), Status> {
        unsupported(NO_TRANSACTIONS)
    }

    /// The set of infos is fixed when the server starts.
    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
