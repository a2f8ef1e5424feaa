//! What a statement can be, and the dispatch on its first words.
//!
//! Each family of statements has its own file; this one only finds the right one, and says clearly what Limn does not
//! do. It knows nothing of catalogs.

use limn_sql_udfs::model::reference::ModelRef;
use sqlparser::ast::{self, ObjectName, ObjectNamePart};

use super::care::Care;
use super::change::Change;
use super::copy::CopyInto;
use super::dialect::{Cursor, fold};
use super::insert::Insert;
use super::model::{AlterModel, ExportModel, ModelTarget};
use super::refresh::Refresh;
use super::show::Show;
use super::table::{CreateTable, CreateView};
use super::train::Train;
use super::user::UserStatement;
use super::{alter, care, change, copy, insert, kill, merge, model, refuse, show, table, train, user};
use crate::error::nearest;
use crate::{Error, Result};

/// A name with an optional schema, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The schema, where one was written.
    pub schema: Option<String>,
    /// The object's own name.
    pub name: String,
}

/// One parsed statement.
#[derive(Debug, Clone)]
pub enum Statement {
    /// `SELECT`, `WITH`, `VALUES`, `TABLE t`.
    Query(Box<ast::Query>),
    /// `EXPLAIN [ANALYZE] [VERBOSE] query`.
    Explain(Box<ast::Statement>),
    /// `INSERT INTO|OVERWRITE t [(columns)] query`.
    Insert(Box<Insert>),
    /// `UPDATE`, `DELETE` and `MERGE`.
    Change(Change),
    /// `CREATE TABLE`.
    CreateTable(Box<CreateTable>),
    /// `CREATE VIEW`.
    CreateView(CreateView),
    /// `CREATE SCHEMA`.
    CreateSchema {
        /// The schema.
        name: String,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `DROP TABLE` and `DROP VIEW`.
    DropRelation {
        /// The relation.
        name: ObjectRef,
        /// `DROP VIEW`.
        view: bool,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `DROP SCHEMA`.
    DropSchema {
        /// The schema.
        name: String,
        /// `IF EXISTS`.
        if_exists: bool,
        /// `CASCADE`.
        cascade: bool,
    },
    /// `ALTER TABLE`, `OPTIMIZE`, `VACUUM` and the like.
    Care(Box<Care>),
    /// `COPY INTO`.
    Copy(CopyInto),
    /// `SHOW …` and `DESCRIBE …`.
    Show(Show),
    /// `TRAIN MODEL`.
    Train(Box<Train>),
    /// `TRAIN MODEL name REFRESH`.
    Refresh(Refresh),
    /// `REPRODUCE MODEL`.
    Reproduce(ModelRef),
    /// `EXPORT MODEL`.
    ExportModel(ExportModel),
    /// `ALTER MODEL`.
    AlterModel(AlterModel),
    /// `DROP MODEL`.
    DropModel {
        /// What to drop.
        target: ModelTarget,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `KILL QUERY id`.
    KillQuery {
        /// The statement's id, 32 hex digits in lower case.
        query_id: String,
    },
    /// `CREATE USER`, `CREATE TOKEN` and the like.
    User(UserStatement),
    /// `USE schema`, `SET schema = …`.
    Use(String),
    /// `SET name = value`; `RESET name` without a value.
    Set {
        /// The setting.
        name: String,
        /// Its value.
        value: Option<String>,
    },
}

/// First words of statements that users of the field know and Limn does not do yet.
const NOT_YET: &[&str] = &[
    "ANALYZE",
    "GRANT",
    "REVOKE",
    "CALL",
    "EVALUATE",
    "IMPORT",
    "REFRESH",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "DECLARE",
    "CLONE",
    "ALTER",
];

/// First words of statements with an effect.
const EFFECTS: &[&str] = &[
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "CREATE",
    "DROP",
    "COPY",
    "TRAIN",
    "REPRODUCE",
    "EXPORT",
    "USE",
    "SET",
    "RESET",
    "KILL",
    "ALTER",
    "TRUNCATE",
    "OPTIMIZE",
    "VACUUM",
    "RESTORE",
    "CONVERT",
    "COMMENT",
];

/// First words of transaction control.
const TRANSACTIONS: &[&str] = &["BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "END", "ABORT"];

/// First words of what Limn does.
const KNOWN: &[&str] = &[
    "SELECT",
    "WITH",
    "VALUES",
    "TABLE",
    "FROM",
    "EXPLAIN",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "CREATE",
    "DROP",
    "COPY",
    "TRUNCATE",
    "OPTIMIZE",
    "VACUUM",
    "RESTORE",
    "CONVERT",
    "COMMENT",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "TRAIN",
    "REPRODUCE",
    "EXPORT",
    "USE",
    "SET",
    "RESET",
    "KILL",
];

/// Parses one statement.
pub fn parse(text: &str) -> Result<Statement> {
    let mut cursor = Cursor::new(text)?;
    while cursor.token(&sqlparser::tokenizer::Token::SemiColon) {}
    let Some(word) = cursor.peek_word() else {
        return match cursor.parser.peek_token().token {
            sqlparser::tokenizer::Token::LParen => query(cursor),
            _ => Err(cursor.expected("a statement")),
        };
    };
    match word.as_str() {
        "SELECT" | "WITH" | "VALUES" | "TABLE" | "FROM" => query(cursor),
        "EXPLAIN" => explain(cursor),
        "INSERT" => insert::parse(cursor),
        "UPDATE" => change::update(cursor),
        "DELETE" => change::delete(cursor),
        "MERGE" => merge::parse(cursor),
        "CREATE" => create(cursor),
        "DROP" => drop(cursor),
        "COPY" => copy::parse(cursor),
        "SHOW" => show::show(cursor),
        "DESCRIBE" | "DESC" => show::describe(cursor),
        "TRAIN" => train::parse(cursor),
        "REPRODUCE" => model::reproduce(cursor),
        "EXPORT" => model::export(cursor),
        "ALTER" if cursor.peek_word_at(1).as_deref() == Some("MODEL") => model::alter(cursor),
        "ALTER" if cursor.peek_word_at(1).as_deref() == Some("USER") => user::alter(cursor),
        "ALTER" if cursor.peek_word_at(1).as_deref() == Some("TABLE") => alter::alter_table(cursor),
        "COMMENT" => alter::comment_on(cursor),
        "TRUNCATE" => care::truncate(cursor),
        "RESTORE" => care::restore(cursor),
        "OPTIMIZE" => care::optimize(cursor),
        "VACUUM" => care::vacuum(cursor),
        "CONVERT" => care::convert(cursor),
        "USE" => {
            cursor.words(&["USE"]);
            cursor.words(&["SCHEMA"]);
            let name = cursor.name("a schema")?;
            cursor.end()?;
            Ok(Statement::Use(name))
        }
        "SET" | "RESET" => set(cursor),
        "KILL" => kill::parse(cursor),
        transaction if TRANSACTIONS.contains(&transaction) => {
            Err(Error::unsupported(format!("`{transaction}` is refused: Limn has no multi-statement transactions"))
                .with_hint("every statement commits by itself, whole or not at all"))
        }
        later if NOT_YET.contains(&later) => Err(not_yet(&cursor, later)),
        other => Err(unknown_statement(other)),
    }
}

fn not_yet(cursor: &Cursor<'_>, word: &str) -> Error {
    match (word, cursor.peek_word_at(1)) {
        ("ALTER", Some(second)) => Error::unsupported(format!("`ALTER {second}` is not supported yet")),
        _ => Error::unsupported(format!("`{word}` is not supported yet")),
    }
}

fn unknown_statement(word: &str) -> Error {
    let error = |tail: String| Error::input(format!("expected a statement, found `{word}`{tail}"));
    match nearest(word, KNOWN.iter().chain(NOT_YET).copied()) {
        Some(nearest) => error(format!(", the nearest is `{nearest}`")),
        None => error(String::new()),
    }
}

fn query(mut cursor: Cursor<'_>) -> Result<Statement> {
    let query = cursor.query()?;
    cursor.end()?;
    refuse::query(&query)?;
    Ok(Statement::Query(query))
}

fn explain(mut cursor: Cursor<'_>) -> Result<Statement> {
    let described = (1..4).filter_map(|n| cursor.peek_word_at(n)).find(|word| word != "ANALYZE" && word != "VERBOSE");
    if let Some(word) = described.filter(|word| NOT_YET.contains(&word.as_str()) || EFFECTS.contains(&word.as_str())) {
        return Err(Error::unsupported(format!("`EXPLAIN {word}` is not supported: expected a query")));
    }
    let statement = cursor.parser.parse_statement()?;
    cursor.end()?;
    match &statement {
        ast::Statement::Explain { statement: inner, query_plan, estimate, options, .. } => {
            if *query_plan || *estimate || options.is_some() {
                return Err(Error::unsupported("options of `EXPLAIN` other than ANALYZE, VERBOSE and FORMAT"));
            }
            match inner.as_ref() {
                ast::Statement::Query(query) => refuse::query(query)?,
                _ => return Err(Error::unsupported("`EXPLAIN` is supported for queries only")),
            }
        }
        _ => return Err(Error::input("expected a query after `EXPLAIN`")),
    }
    Ok(Statement::Explain(Box::new(statement)))
}

fn create(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.words(&["CREATE"]);
    let or_replace = cursor.words(&["OR", "REPLACE"]);
    if cursor.words(&["TABLE"]) {
        return table::create_table(cursor, or_replace, false);
    }
    if cursor.words(&["TEMPORARY", "TABLE"]) || cursor.words(&["TEMP", "TABLE"]) {
        return table::create_table(cursor, or_replace, true);
    }
    if cursor.words(&["VIEW"]) {
        return table::create_view(cursor, or_replace);
    }
    if !or_replace && (cursor.words(&["SCHEMA"]) || cursor.words(&["DATABASE"])) {
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.object_name("a schema")?;
        cursor.end()?;
        let name = schema_name(&name)?;
        return Ok(Statement::CreateSchema { name, if_not_exists });
    }
    if matches!(cursor.peek_word().as_deref(), Some("USER" | "TOKEN")) {
        return match or_replace {
            false => user::create(cursor),
            true => Err(Error::unsupported("users and tokens are not replaced")
                .with_hint("set a new password: ALTER USER name PASSWORD '…'")),
        };
    }
    match cursor.peek_word() {
        Some(word) if word == "MODEL" => {
            Err(Error::unsupported("`CREATE MODEL` is written `TRAIN MODEL` here").with_hint(train::FORM))
        }
        Some(word) => Err(Error::unsupported(format!("`CREATE {word}` is not supported yet"))),
        None => Err(cursor.expected("`TABLE`, `VIEW` or `SCHEMA`")),
    }
}

fn drop(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.words(&["DROP"]);
    let what = cursor.peek_word().unwrap_or_default();
    match what.as_str() {
        "TABLE" | "VIEW" => {
            cursor.words(&[&what]);
            let if_exists = cursor.words(&["IF", "EXISTS"]);
            let name = object_ref(&cursor.object_name("a name")?)?;
            cursor.end()?;
            Ok(Statement::DropRelation { name, view: what == "VIEW", if_exists })
        }
        "SCHEMA" | "DATABASE" => {
            cursor.words(&[&what]);
            let if_exists = cursor.words(&["IF", "EXISTS"]);
            let name = schema_name(&cursor.object_name("a schema")?)?;
            let cascade = cursor.words(&["CASCADE"]);
            if !cascade {
                cursor.words(&["RESTRICT"]);
            }
            cursor.end()?;
            Ok(Statement::DropSchema { name, if_exists, cascade })
        }
        "MODEL" => model::drop(cursor),
        "USER" | "TOKEN" => user::drop(cursor),
        "" => Err(cursor.expected("`TABLE`, `VIEW`, `SCHEMA` or `MODEL`")),
        other => Err(Error::unsupported(format!("`DROP {other}` is not supported yet"))),
    }
}

fn set(mut cursor: Cursor<'_>) -> Result<Statement> {
    use sqlparser::tokenizer::Token;
    if cursor.words(&["RESET"]) {
        let name = dotted(&mut cursor)?;
        cursor.end()?;
        return Ok(Statement::Set { name, value: None });
    }
    cursor.words(&["SET"]);
    if cursor.words(&["TIME", "ZONE"]) {
        let value = cursor.string("a time zone such as 'UTC'")?;
        cursor.end()?;
        return Ok(Statement::Set { name: "timezone".into(), value: Some(value) });
    }
    let name = dotted(&mut cursor)?;
    if !cursor.token(&Token::Eq) {
        cursor.expect_words(&["TO"])?;
    }
    let value = match cursor.parser.next_token().token {
        Token::SingleQuotedString(text) | Token::Number(text, _) => text,
        Token::Word(word) => word.value,
        _ => return Err(Error::input(format!("expected a value for `{name}`"))),
    };
    cursor.end()?;
    match name.as_str() {
        "schema" | "search_path" => Ok(Statement::Use(value)),
        _ => Ok(Statement::Set { name, value: Some(value) }),
    }
}

fn dotted(cursor: &mut Cursor<'_>) -> Result<String> {
    let name = cursor.object_name("a setting")?;
    let parts: Vec<String> = name.0.iter().filter_map(ObjectNamePart::as_ident).map(fold).collect();
    Ok(parts.join("."))
}

/// The catalog's name, which may stand before a schema.
const CATALOG: &str = "lake";

/// `[[catalog.]schema.]name`, folded.
pub fn object_ref(name: &ObjectName) -> Result<ObjectRef> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(fold)).collect();
    match parts.as_deref() {
        Some([table]) => Ok(ObjectRef { schema: None, name: table.clone() }),
        Some([schema, table]) => Ok(ObjectRef { schema: Some(schema.clone()), name: table.clone() }),
        Some([catalog, schema, table]) if catalog == CATALOG => {
            Ok(ObjectRef { schema: Some(schema.clone()), name: table.clone() })
        }
        Some([catalog, _, _]) => Err(Error::not_found(format!("unknown catalog `{catalog}`, the only one is `lake`"))),
        _ => Err(Error::input(format!("expected `schema.table`, found `{name}`"))),
    }
}

/// `[catalog.]schema`, folded.
fn schema_name(name: &ObjectName) -> Result<String> {
    match object_ref(name)? {
        ObjectRef { schema: None, name } => Ok(name),
        ObjectRef { schema: Some(catalog), name } if catalog == CATALOG => Ok(name),
        other => {
            Err(Error::input(format!("expected a schema, found `{}.{}`", other.schema.unwrap_or_default(), other.name)))
        }
    }
}
