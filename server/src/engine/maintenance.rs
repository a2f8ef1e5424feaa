//! `system.maintenance`: what background care did to tables since the server started, as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};

use crate::Result;
use crate::lake::Lake;
use crate::lake::maintenance::{CareRecord, CareState, Cared};

fn schema() -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let time =
        |name, nullable| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), nullable);
    let number = |name, nullable| Field::new(name, DataType::Int64, nullable);
    Arc::new(Schema::new(vec![
        number("maintenance_id", false),
        text("table_schema", true),
        text("table_name", true),
        text("path", false),
        text("operation", false),
        text("state", false),
        time("started_at", false),
        time("ended_at", true),
        number("version", true),
        number("files_removed", true),
        number("bytes_removed", true),
        number("files_added", true),
        number("bytes_added", true),
        text("error", true),
    ]))
}

/// The rows, the oldest first.
pub(super) fn rows(lake: &Lake) -> Result<RecordBatch> {
    let all = lake.maintenance();
    let texts = |of: &dyn Fn(&CareRecord) -> Option<String>| -> ArrayRef {
        Arc::new(all.iter().map(of).collect::<StringArray>())
    };
    let times = |of: &dyn Fn(&CareRecord) -> Option<DateTime<Utc>>| -> ArrayRef {
        let micros = all.iter().map(|record| of(record).map(|at| at.timestamp_micros()));
        Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let counts = |of: &dyn Fn(&Cared) -> Option<u64>| -> ArrayRef {
        let values = all.iter().map(|record| match &record.state {
            CareState::Finished(cared) => of(cared).and_then(|count| i64::try_from(count).ok()),
            CareState::Running | CareState::Failed(_) => None,
        });
        Arc::new(values.collect::<Int64Array>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(all.iter().map(|record| i64::try_from(record.number).ok()).collect::<Int64Array>()),
        texts(&|record| record.table.as_ref().map(|name| name.schema.clone())),
        texts(&|record| record.table.as_ref().map(|name| name.table.clone())),
        texts(&|record| Some(record.path.clone())),
        texts(&|record| Some(record.care.name().to_string())),
        texts(&|record| Some(state(&record.state).to_string())),
        times(&|record| Some(record.started_at)),
        times(&|record| record.ended_at),
        counts(&|cared| Some(cared.version)),
        counts(&|cared| Some(cared.removed.0)),
        counts(&|cared| cared.removed.1),
        counts(&|cared| Some(cared.added.0)),
        counts(&|cared| cared.added.1),
        texts(&|record| match &record.state {
            CareState::Failed(why) => Some(why.clone()),
            CareState::Running | CareState::Finished(_) => None,
        }),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

fn state(state: &CareState) -> &'static str {
    match state {
        CareState::Running => "running",
        CareState::Finished(_) => "finished",
        CareState::Failed(_) => "failed",
    }
}
