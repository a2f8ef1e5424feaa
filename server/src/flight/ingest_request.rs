//! What a `CommandStatementIngest` asks for, as the engine takes it.
//!
//! What is not said is refused, not guessed at: the client's rows would go where nobody meant them. It reads no rows.
//!
//! Rows that may be sent again have an application transaction: the options `txnAppId` and `txnVersion`, by the names of
//! Delta's writers, or two headers, because drivers have no way to send options.

use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};

use tonic::metadata::MetadataMap;

use crate::engine::{AppTransaction, IfExists, IfMissing, IngestRequest};
use crate::{Error, Result};

const APPLICATION_OPTION: &str = "txnAppId";
const VERSION_OPTION: &str = "txnVersion";
const APPLICATION_HEADER: &str = "limn-txn-app-id";
const VERSION_HEADER: &str = "limn-txn-version";

/// What a client asks for, in its command and its headers.
pub fn request_of(command: CommandStatementIngest, headers: &MetadataMap) -> Result<IngestRequest> {
    if command.transaction_id.as_ref().is_some_and(|id| !id.is_empty()) {
        return Err(Error::unsupported("transactions are not offered: an ingestion commits by itself, all or nothing"));
    }
    let known = [APPLICATION_OPTION, VERSION_OPTION];
    if let Some(option) = command.options.keys().filter(|option| !known.contains(&option.as_str())).min() {
        let [application, version] = known;
        let text = format!("unknown ingestion option `{option}`, expected `{application}` or `{version}`");
        return Err(Error::input(text));
    }
    let transaction = transaction(&command, headers)?;
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
    Ok(IngestRequest { catalog, schema, table, if_missing, if_exists, temporary, transaction })
}

fn transaction(command: &CommandStatementIngest, headers: &MetadataMap) -> Result<Option<AppTransaction>> {
    let header = |name: &str| match headers.get(name) {
        Some(value) => match value.to_str() {
            Ok(text) => Ok(Some(text.to_string())),
            Err(_) => Err(Error::input(format!("expected ASCII in the header `{name}`"))),
        },
        None => Ok(None),
    };
    let said = |option: &str| command.options.get(option).cloned();
    let (option, header) =
        ((said(APPLICATION_OPTION), said(VERSION_OPTION)), (header(APPLICATION_HEADER)?, header(VERSION_HEADER)?));
    let pair = match (option, header) {
        (pair, (None, None)) | ((None, None), pair) => pair,
        _ => return Err(Error::input("expected a transaction either in options or in headers, found both")),
    };
    match pair {
        (None, None) => Ok(None),
        (Some(application), Some(version)) => match version.parse() {
            Ok(version) => AppTransaction::new(application, version).map(Some),
            Err(_) => {
                Err(Error::input(format!("expected a transaction's version, a whole number from 0, found `{version}`")))
            }
        },
        _ => Err(Error::input("expected a transaction's application and its version, found one of them")),
    }
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
        let request_of = |command| request_of(command, &MetadataMap::new());
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

    #[test]
    fn a_transaction_is_said_whole_and_in_one_way() {
        let mut headers = MetadataMap::new();
        let good = command(TableNotExistOption::Fail, TableExistsOption::Append);
        let said = |pairs: &[(&str, &str)]| CommandStatementIngest {
            options: pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            ..good.clone()
        };
        let whole = said(&[("txnAppId", "meters"), ("txnVersion", "7")]);
        let expected = Some(AppTransaction::new("meters".into(), 7).unwrap());
        assert_eq!(request_of(good.clone(), &headers).unwrap().transaction, None);
        assert_eq!(request_of(whole.clone(), &headers).unwrap().transaction, expected);
        for bad in [
            said(&[("txnAppId", "meters")]),
            said(&[("txnAppId", "meters"), ("txnVersion", "-1")]),
            said(&[("txnAppId", ""), ("txnVersion", "1")]),
            said(&[("txnAppId", "meters"), ("txnVersion", "7"), ("more", "")]),
        ] {
            assert_eq!(request_of(bad, &headers).unwrap_err().class(), Class::Input);
        }
        headers.insert(VERSION_HEADER, "7".parse().unwrap());
        assert_eq!(request_of(good.clone(), &headers).unwrap_err().class(), Class::Input, "half of it");
        headers.insert(APPLICATION_HEADER, "meters".parse().unwrap());
        assert_eq!(request_of(good, &headers).unwrap().transaction, expected);
        assert_eq!(request_of(whole, &headers).unwrap_err().class(), Class::Input, "twice");
    }
}
