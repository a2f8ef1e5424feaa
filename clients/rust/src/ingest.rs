//! Bulk ingestion: a stream of record batches into a table, in one commit.
//!
//! The batches go out as the server takes them, so that any number of rows passes through little memory. A stream that
//! fails aborts the call, and nothing is written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use futures::{Stream, StreamExt};
use tokio::sync::Notify;

use crate::client::descriptor;
use crate::{Class, Client, Error, Result};

/// What to do about the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestMode {
    /// Make the table; it must not exist.
    Create,
    /// Add to the table; it must exist.
    Append,
    /// Make the table, in place of one of the same name if there is one.
    Replace,
    /// Add to the table, which is made where it does not exist.
    CreateAppend,
}

/// Where rows go.
///
/// A name alone is a table of the session's schema: `"readings"` and `("sales", "orders")` convert into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestTarget {
    /// The schema; the session's where not set.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// Whether the table goes with the session.
    pub temporary: bool,
    /// The application, and the version of its transaction: a table that has seen this or a later one takes no rows.
    pub transaction: Option<(String, u64)>,
}

impl IngestTarget {
    /// The same rows once, however often they are sent: `version` grows with each batch of this application. Goes with
    /// the modes that append.
    ///
    /// ```
    /// use limn_client::IngestTarget;
    /// let target = IngestTarget::from("readings").once("meters", 7);
    /// assert_eq!(target.transaction, Some(("meters".to_string(), 7)));
    /// ```
    pub fn once(self, application: &str, version: u64) -> Self {
        IngestTarget { transaction: Some((application.to_string(), version)), ..self }
    }
}

impl From<&str> for IngestTarget {
    fn from(table: &str) -> Self {
        IngestTarget { schema: None, table: table.to_string(), temporary: false, transaction: None }
    }
}

impl From<(&str, &str)> for IngestTarget {
    fn from((schema, table): (&str, &str)) -> Self {
        IngestTarget { schema: Some(schema.to_string()), ..table.into() }
    }
}

impl Client {
    /// Writes a stream of batches, all of `schema`, into a table; the number of rows written.
    ///
    /// ```no_run
    /// # async fn example(client: limn_client::Client, batch: arrow::record_batch::RecordBatch) -> limn_client::Result<()> {
    /// use limn_client::IngestMode;
    /// let batches = futures::stream::iter([Ok(batch.clone())]);
    /// let rows = client.ingest("readings", IngestMode::Replace, batch.schema(), batches).await?;
    /// # Ok(()) }
    /// ```
    pub async fn ingest(
        &self,
        target: impl Into<IngestTarget>,
        mode: IngestMode,
        schema: SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Result<u64> {
        let command = command(target.into(), mode);
        let failure = Arc::new(Failure::default());
        let encoded = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_flight_descriptor(Some(descriptor(&command)))
            .build(batches.map(|batch| batch.map_err(|error| FlightError::ExternalError(Box::new(error)))));
        let messages = until_failure(encoded, Arc::clone(&failure));
        let written = tokio::select! {
            written = self.update(messages) => written,
            // Dropping the call resets it: the server sees neither an end nor a reason to commit.
            () = failure.happened.notified() => Err(failure.take()),
        };
        let rows = written?;
        u64::try_from(rows).map_err(|_| Error::new(Class::Internal, format!("the server answered {rows} rows")))
    }
}

/// How a stream failed, where the call that sends it must not see its end.
#[derive(Default)]
struct Failure {
    error: Mutex<Option<Error>>,
    happened: Notify,
}

impl Failure {
    fn put(&self, error: Error) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.happened.notify_one();
    }

    fn take(&self) -> Error {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.unwrap_or_else(|| Error::new(Class::Internal, "the stream of batches failed"))
    }
}

/// The messages up to the first failure, after which nothing comes and nothing ends.
fn until_failure(
    encoded: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static,
    failure: Arc<Failure>,
) -> impl Stream<Item = FlightData> + Send + 'static {
    encoded.then(move |message| {
        let failure = Arc::clone(&failure);
        async move {
            match message {
                Ok(message) => message,
                Err(error) => {
                    failure.put(own(error));
                    std::future::pending().await
                }
            }
        }
    })
}

fn own(error: FlightError) -> Error {
    match error {
        FlightError::ExternalError(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::new(Class::Internal, other.to_string()),
        },
        other => Error::new(Class::Input, format!("the batches cannot be sent: {other}")),
    }
}

/// A transaction by the names of Delta's writers.
fn transaction_options(transaction: Option<(String, u64)>) -> HashMap<String, String> {
    let pairs = transaction.map(|(application, version)| {
        [("txnAppId".to_string(), application), ("txnVersion".to_string(), version.to_string())]
    });
    pairs.into_iter().flatten().collect()
}

fn command(target: IngestTarget, mode: IngestMode) -> CommandStatementIngest {
    let (if_not_exist, if_exists) = match mode {
        IngestMode::Create => (TableNotExistOption::Create, TableExistsOption::Fail),
        IngestMode::Append => (TableNotExistOption::Fail, TableExistsOption::Append),
        IngestMode::Replace => (TableNotExistOption::Create, TableExistsOption::Replace),
        IngestMode::CreateAppend => (TableNotExistOption::Create, TableExistsOption::Append),
    };
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: if_not_exist.into(),
            if_exists: if_exists.into(),
        }),
        table: target.table,
        schema: target.schema,
        catalog: None,
        temporary: target.temporary,
        transaction_id: None,
        options: transaction_options(target.transaction),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_goes_as_options() {
        let sent = command(IngestTarget::from("t").once("meters", 7), IngestMode::Append);
        let expected = [("txnAppId", "meters"), ("txnVersion", "7")];
        assert_eq!(sent.options, expected.map(|(key, value)| (key.to_string(), value.to_string())).into());
        assert!(command("t".into(), IngestMode::Append).options.is_empty());
    }

    #[test]
    fn modes_are_those_of_the_specification() {
        // Numbers of FlightSql.proto: create 1, fail 2; exists: fail 1, append 2, replace 3.
        for (mode, expected) in [
            (IngestMode::Create, (1, 1)),
            (IngestMode::Append, (2, 2)),
            (IngestMode::Replace, (1, 3)),
            (IngestMode::CreateAppend, (1, 2)),
        ] {
            let sent = command(("s", "t").into(), mode);
            let options = sent.table_definition_options.unwrap();
            assert_eq!((options.if_not_exist, options.if_exists), expected, "{mode:?}");
            assert_eq!((sent.schema.as_deref(), sent.table.as_str()), (Some("s"), "t"));
        }
    }

    #[tokio::test]
    async fn a_failure_is_no_end() {
        let failure = Arc::new(Failure::default());
        let source = futures::stream::iter([
            Ok(FlightData::new()),
            Err(FlightError::ExternalError(Box::new(Error::new(Class::NotFound, "the file is gone")))),
        ]);
        let mut messages = Box::pin(until_failure(source, Arc::clone(&failure)));
        assert!(messages.next().await.is_some());
        tokio::select! {
            next = messages.next() => panic!("{next:?}"),
            () = failure.happened.notified() => assert_eq!(failure.take(), Error::new(Class::NotFound, "the file is gone")),
        }
    }
}
