//! What a `CommandStatementIngest` asks for, as the engine takes it.
//!
//! What is not said is refused, not guessed at: the client's rows would go where nobody meant them. It reads no rows.

use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};

use crate::engine::{IfExists, IfMissing, IngestRequest};
use crate::{Error, Result};

/// What a client asks for.
pub fn request_of(command: CommandStatementIngest) -> Result<IngestRequest> {
    if command.transaction_id.as_ref().is_some_and(|id| !id.is_empty()) {
        return Err(Error::unsupported("transactions are not offered: an ingestion commits by itself, all or nothing"));
    }
    if let Some(option) = command.options.keys().min() {
        return Err(Error::input(format!("unknown ingestion option `{option}`, there are none")));
    }
    let asked = command.table_definition_options.ok_or_else(|| unspecified("table definition options"))?;
    let if_missing = match TableNotExistOption::try_from(asked.if_not_exist) {
        Ok(TableNotExistOption::Create) => IfMissing::Create,
        Ok(TableNotExistOption::Fail) => IfMissing::Fail,
        Ok(TableNotExistOption::Unspecified) | Err(_) => {
            return Err(unspecified("what to do where the table is missing"));
        }
    };
    let if_exists = match TableExistsOption::try_from(asked.if_exists) {
        Ok(TableExistsOption::Fail) => IfExists::Fail,
        Ok(TableExistsOption::Append) => IfExists::Append,
        Ok(TableExistsOption::Replace) => IfExists::Replace,
        Ok(TableExistsOption::Unspecified) | Err(_) => return Err(unspecified("what to do where the table exists")),
    };
    let CommandStatementIngest { catalog, schema, table, temporary, .. } = command;
    Ok(IngestRequest { catalog, schema, table, if_missing, if_exists, temporary })
}

fn unspecified(what: &str) -> Error {
    Error::input(format!("the ingestion does not say {what}"))
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::TableDefinitionOptions;

    use super::*;
    use crate::Class;

    fn command(if_not_exist: TableNotExistOption, if_exists: TableExistsOption) -> CommandStatementIngest {
        let options = TableDefinitionOptions { if_not_exist: if_not_exist as i32, if_exists: if_exists as i32 };
        CommandStatementIngest {
            table_definition_options: Some(options),
            table: "t".into(),
            schema: None,
            catalog: None,
            temporary: false,
            transaction_id: None,
            options: Default::default(),
        }
    }

    #[test]
    fn what_is_not_said_or_not_known_is_refused() {
        let good = command(TableNotExistOption::Create, TableExistsOption::Append);
        let request = request_of(good.clone()).unwrap();
        assert_eq!((request.if_missing, request.if_exists), (IfMissing::Create, IfExists::Append));
        for (bad, class) in [
            (command(TableNotExistOption::Unspecified, TableExistsOption::Append), Class::Input),
            (command(TableNotExistOption::Create, TableExistsOption::Unspecified), Class::Input),
            (CommandStatementIngest { table_definition_options: None, ..good.clone() }, Class::Input),
            (CommandStatementIngest { transaction_id: Some("x".into()), ..good.clone() }, Class::Unsupported),
            (CommandStatementIngest { options: [("k".into(), "v".into())].into(), ..good }, Class::Input),
        ] {
            assert_eq!(request_of(bad).unwrap_err().class(), class);
        }
    }
}
