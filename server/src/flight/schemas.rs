//! `GetDbSchemas`: the schemas of the catalog, empty ones included.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::CommandGetDbSchemas;

use crate::engine::CATALOG;
use crate::{Error, Result};

/// The reply's schema.
pub fn schema() -> SchemaRef {
    CommandGetDbSchemas::default().into_builder().schema()
}

/// The reply: an absent catalog or pattern filters nothing, an empty one finds nothing.
pub fn batch(command: CommandGetDbSchemas, schemas: &[String]) -> Result<RecordBatch> {
    let mut builder = command.into_builder();
    for schema in schemas {
        builder.append(CATALOG, schema);
    }
    builder.build().map_err(|error| Error::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;

    fn found(catalog: Option<&str>, pattern: Option<&str>) -> Vec<String> {
        let command =
            CommandGetDbSchemas { catalog: catalog.map(Into::into), db_schema_filter_pattern: pattern.map(Into::into) };
        let batch = batch(command, &["main".into(), "my_x".into(), "myyx".into()]).unwrap();
        assert_eq!(batch.schema(), schema());
        batch.column(1).as_string::<i32>().iter().flatten().map(Into::into).collect()
    }

    #[test]
    fn absent_filters_find_all_and_empty_ones_nothing() {
        assert_eq!(found(None, None), ["main", "my_x", "myyx"]);
        assert_eq!(found(Some(CATALOG), Some("my%")), ["my_x", "myyx"]);
        assert_eq!(found(Some(CATALOG), Some("my_x")), ["my_x", "myyx"]);
        assert_eq!(found(Some(CATALOG), Some("my\\_x")), ["my_x"]);
        assert!(found(Some(""), None).is_empty());
        assert!(found(None, Some("")).is_empty());
        assert!(found(Some("other"), None).is_empty());
    }
}
