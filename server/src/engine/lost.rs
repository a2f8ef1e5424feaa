//! What a statement did not find: data files that a version of a table had, and that somebody removed since.
//!
//! Reading a version opens its files one by one, so a file that is not there is an error in the middle of a statement,
//! from far below. Here it becomes the answer to what was asked: which version of which table cannot be read any more.
//! It looks at nothing before a statement has failed.

use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;

use super::catalog::Scope;
use super::context::StatementContext;
use super::open::Inner;
use crate::lake::At;
use crate::{Class, Error};

/// The error of a statement, or where a version that it read has lost a file, one that says so.
///
/// A file of the latest version is nobody's to remove, so without it the error stays what it is.
pub(super) async fn explained(inner: &Inner, ctx: &StatementContext, error: Error) -> Error {
    if error.class() != Class::Internal {
        return error;
    }
    for (relation, version) in ctx.read.to_list() {
        let Ok(Some(gone)) = inner.lake.gone(&relation, version).await else { continue };
        if inner.lake.snapshot(&relation, At::Latest).await.is_ok_and(|latest| latest.version > version) {
            return Error::input(gone).with_hint("a VACUUM removed it; read a later version");
        }
    }
    error
}

/// The rows of a query whose errors are explained.
pub(super) fn named(scope: &Scope, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let (inner, ctx, schema) = (scope.inner.clone(), scope.ctx.clone(), rows.schema());
    let rows = rows.or_else(move |error| {
        let (inner, ctx) = (inner.clone(), ctx.clone());
        async move { Err(explained(&inner, &ctx, Error::from(error)).await.into_datafusion()) }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}
