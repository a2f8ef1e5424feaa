//! What a training keeps of the statement around its query, so that the query can be planned again as it was: the bound
//! parameters with their exact types, and what of the session a name's meaning depends on.
//!
//! It is text in a row of the registry. It knows nothing of models.

use std::io::Cursor;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};

use super::CATALOG;
use super::catalog::Scope;
use crate::lake::types::sql_name;
use crate::{Error, Result};

/// What of a session a training query depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SessionNote {
    /// The catalog.
    pub catalog: String,
    /// The schema of names that are written without one.
    pub schema: String,
    /// The time zone.
    pub timezone: String,
    /// The views that were read, by schema, name and id: one that is replaced has another id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<(String, String, String)>,
    /// The models that took part, as they were written, with their versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<(String, u64)>,
}

impl SessionNote {
    /// What a planned statement depended on.
    pub(super) fn of(scope: &Scope) -> Self {
        SessionNote {
            catalog: CATALOG.into(),
            schema: scope.schema.clone(),
            timezone: "UTC".into(),
            views: scope.views(),
            models: scope.ctx.snapshots.to_lists().1,
        }
    }

    /// As a run keeps it.
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(format!("a session cannot be written: {error}")))
    }

    /// What a run kept.
    pub(super) fn from_text(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::internal(format!("the session of a run cannot be read: {error}")))
    }
}

/// Parameters as people read them: `$1` and its value, `$1.type` and its type.
pub(super) fn shown(values: &[ScalarValue]) -> Vec<(String, String)> {
    let both = |(number, value): (usize, &ScalarValue)| {
        [(format!("${number}"), value.to_string()), (format!("${number}.type"), sql_name(&value.data_type()))]
    };
    (1..).zip(values).flat_map(both).collect()
}

/// Parameters as a run keeps them; `None` for none.
pub(super) fn to_text(values: &[ScalarValue]) -> Result<Option<String>> {
    if values.is_empty() {
        return Ok(None);
    }
    let fields = (1..).zip(values).map(|(n, value): (usize, _)| Field::new(format!("${n}"), value.data_type(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns: Result<Vec<_>, _> = values.iter().map(ScalarValue::to_array).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::clone(&schema), columns?, &options)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&row)?;
    Ok(Some(STANDARD.encode(writer.into_inner()?)))
}

/// The parameters that a run kept.
pub(super) fn from_text(text: &str) -> Result<Vec<ScalarValue>> {
    let damaged = |why: String| Error::internal(format!("the parameters of a run cannot be read: {why}"));
    let bytes = STANDARD.decode(text).map_err(|error| damaged(error.to_string()))?;
    let mut rows = StreamReader::try_new(Cursor::new(bytes), None)?;
    let row = rows.next().ok_or_else(|| damaged("there is no row".into()))??;
    if row.num_rows() != 1 {
        return Err(damaged(format!("expected one row, found {}", row.num_rows())));
    }
    row.columns().iter().map(|column| Ok(ScalarValue::try_from_array(column, 0)?)).collect()
}

/// The parameters of a run that kept their texts only.
pub(super) fn from_shown<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<ScalarValue> {
    let numbered =
        |(key, value): (&str, &str)| Some((key.strip_prefix('$')?.parse::<usize>().ok()?, value.to_string()));
    let mut texts: Vec<(usize, String)> = params.filter_map(numbered).collect();
    texts.sort();
    texts.into_iter().map(|(_, text)| ScalarValue::Utf8((text != "NULL").then_some(text))).collect()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Int64Type, TimeUnit};

    use super::*;

    #[test]
    fn parameters_come_back_exactly() {
        let values = [
            ScalarValue::from(0.1 + 0.2),
            ScalarValue::Float64(Some(-0.0)),
            ScalarValue::Float32(Some(0.1)),
            ScalarValue::Int8(Some(-128)),
            ScalarValue::from("it's \u{0}größe"),
            ScalarValue::Utf8(None),
            ScalarValue::Null,
            ScalarValue::Decimal128(Some(-12345), 20, 3),
            ScalarValue::TimestampNanosecond(Some(1), Some("UTC".into())),
            ScalarValue::Date32(Some(-1)),
            ScalarValue::Binary(Some(vec![0, 255])),
            ScalarValue::try_from(&DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap(),
            ScalarValue::List(Arc::new(arrow::array::ListArray::from_iter_primitive::<Int64Type, _, _>([Some([
                Some(1),
                None,
            ])]))),
        ];
        let text = to_text(&values).unwrap().unwrap();
        assert_eq!(from_text(&text).unwrap(), values);
        assert_eq!(to_text(&[]).unwrap(), None);
        assert!(from_text("x").is_err() && from_text("AAAA").is_err());
    }

    #[test]
    fn texts_are_what_an_older_run_has() {
        let params = [("$10", "j"), ("$2", "NULL"), ("alpha", "1"), ("$1", "5"), ("$1.type", "BIGINT")];
        let expected = [ScalarValue::from("5"), ScalarValue::Utf8(None), ScalarValue::from("j")];
        assert_eq!(from_shown(params.into_iter()), expected);
        let shown = shown(&[ScalarValue::from(5_i64)]);
        assert_eq!(shown, [("$1".into(), "5".into()), ("$1.type".into(), "BIGINT".into())]);
    }
}
