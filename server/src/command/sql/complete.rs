//! What Tab offers: from the text around the cursor and the known names to candidates.
//!
//! It goes by the words in front of the cursor and by the relations that the statement names, also behind the cursor.
//! It asks nobody but the function that it is given for columns.

use super::commands::COMMANDS;
use super::lex::{Kind, Piece, pieces};
use super::names::Names;
use super::words::{
    ALGORITHMS, BEFORE_MODELS, BEFORE_RELATIONS, BEFORE_SCHEMAS, BEGINNINGS, FUNCTIONS, KEYWORDS, PHRASES, RESERVED,
    TABLE_FUNCTIONS, is_in,
};
use crate::config::Format;

/// What may stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// These texts in place of what is typed from this byte on.
    Texts(usize, Vec<String>),
    /// The name of a file.
    Files,
}

/// What Tab offers at `position` of `line`; `columns` gives the columns of a table by schema and name.
pub fn offer(line: &str, position: usize, names: &Names, columns: &dyn Fn(&str, &str) -> Vec<String>) -> Offer {
    let head = line.get(..position).unwrap_or(line);
    let last_line = head.rsplit('\n').next().unwrap_or(head);
    if let Some(command) = last_line.trim_start().strip_prefix('\\') {
        return of_command(command, position, names);
    }
    let statement = Statement::around(line, position);
    statement.offer(names, columns)
}

/// A command's name, then its argument.
fn of_command(command: &str, position: usize, names: &Names) -> Offer {
    let Some((name, argument)) = command.split_once(char::is_whitespace) else {
        let known = COMMANDS.iter().filter_map(|(usage, _)| usage.split(' ').next());
        let mut known: Vec<String> = known.filter_map(|name| name.strip_prefix('\\')).map(str::to_string).collect();
        known.dedup();
        return Offer::Texts(position - command.len(), starting(known, command));
    };
    let argument = argument.trim_start();
    let candidates = match name {
        "d" | "dh" => names.relations.iter().map(|(schema, name)| relation(names, schema, name)).collect(),
        "dt" | "dv" => names.schemas.clone(),
        "dm" => names.models.clone(),
        "df" => names.functions.clone(),
        "f" => Format::names().map(str::to_string).collect(),
        "x" => ["auto", "off", "on"].map(str::to_string).into(),
        "timing" | "pager" => ["off", "on"].map(str::to_string).into(),
        "i" | "o" => return Offer::Files,
        _ => vec![],
    };
    Offer::Texts(position - argument.len(), starting(candidates, argument))
}

/// A statement with a cursor in it.
struct Statement<'a> {
    line: &'a str,
    /// All its pieces but the one that is being typed.
    pieces: Vec<Piece>,
    /// How many of them are in front of the cursor.
    before: usize,
    /// The piece that is being typed; empty between two pieces.
    typed: Piece,
}

impl<'a> Statement<'a> {
    fn around(line: &'a str, position: usize) -> Self {
        let all = pieces(line);
        let ends = |piece: &Piece| piece.kind == Kind::Symbol && piece.text(line) == ";";
        let from = all.iter().rposition(|piece| ends(piece) && piece.at.end <= position).map_or(0, |at| at + 1);
        let to = all.iter().position(|piece| ends(piece) && piece.at.start >= position).unwrap_or(all.len());
        let mut pieces = all.get(from..to).unwrap_or_default().to_vec();
        let is_typed = |piece: &Piece| {
            piece.at.start < position && position <= piece.at.end && !matches!(piece.kind, Kind::Symbol)
        };
        let typed = pieces.iter().position(is_typed);
        let typed = match typed {
            Some(at) => pieces.remove(at),
            None => Piece { kind: Kind::Word, at: position..position },
        };
        let typed = Piece { at: typed.at.start..position, ..typed };
        let before = pieces.iter().filter(|piece| piece.at.end <= typed.at.start).count();
        Statement { line, pieces, before, typed }
    }

    /// The text of a piece in front of the cursor, counted backwards from 0.
    fn back(&self, steps: usize) -> &'a str {
        let piece = self.before.checked_sub(steps + 1).and_then(|at| self.pieces.get(at));
        piece.map_or("", |piece| piece.text(self.line))
    }

    fn offer(&self, names: &Names, columns: &dyn Fn(&str, &str) -> Vec<String>) -> Offer {
        let prefix = self.typed.text(self.line);
        match self.typed.kind {
            Kind::Comment | Kind::Number => return Offer::Texts(self.typed.at.end, vec![]),
            Kind::Text => return self.in_text(names),
            Kind::Word | Kind::Quoted | Kind::Symbol => {}
        }
        let texts = if self.back(0) == "." {
            starting(self.after_dot(names, columns), prefix)
        } else {
            self.plain(names, columns, prefix)
        };
        Offer::Texts(self.typed.at.start, texts)
    }

    /// In a string stands the name of a model, or of a file, or something that nobody can know.
    fn in_text(&self, names: &Names) -> Offer {
        let inner = self.typed.at.start + 1;
        let prefix = self.line.get(inner..self.typed.at.end).unwrap_or_default();
        let (before, function) = (self.back(0), self.back(1));
        match before {
            "(" if is_in(function, &["PREDICT", "PREDICT_PROBA", "EXPLAIN_PREDICT", "FORECAST"]) => {
                Offer::Texts(inner, starting(names.models.clone(), prefix))
            }
            "(" if is_in(function, &["read_csv", "read_parquet", "read_json"]) => Offer::Files,
            word if is_in(word, &["FROM", "LOCATION", "TO"]) => Offer::Files,
            _ => Offer::Texts(inner, vec![]),
        }
    }

    /// What a name in front of a dot has: a schema its relations, a relation its columns.
    fn after_dot(&self, names: &Names, columns: &dyn Fn(&str, &str) -> Vec<String>) -> Vec<String> {
        let owner = unquoted(self.back(1));
        let in_schema = names.relations.iter().filter(|(schema, _)| *schema == owner);
        let mut texts: Vec<String> = in_schema.map(|(_, name)| quoted(name)).collect();
        let named = self.relations(names).into_iter().filter(|relation| relation.alias == owner);
        texts.extend(named.flat_map(|relation| columns(&relation.schema, &relation.name)).map(|name| quoted(&name)));
        texts
    }

    fn plain(&self, names: &Names, columns: &dyn Fn(&str, &str) -> Vec<String>, prefix: &str) -> Vec<String> {
        let last = self.back(0);
        if self.before == 0 {
            return starting(in_case(BEGINNINGS, prefix), prefix);
        }
        let mut texts = self.continued(prefix);
        let relation_follows = is_in(last, BEFORE_RELATIONS);
        if prefix.is_empty() && !texts.is_empty() && !relation_follows {
            return texts;
        }
        if is_in(last, BEFORE_MODELS) {
            texts.extend(starting(names.models.iter().map(|name| quoted(name)).collect(), prefix));
            return texts;
        }
        if is_in(last, BEFORE_SCHEMAS) {
            texts.extend(starting(names.schemas.iter().map(|name| quoted(name)).collect(), prefix));
            return texts;
        }
        if relation_follows {
            let relations = names.relations.iter().map(|(schema, name)| relation(names, schema, name));
            texts.extend(starting(relations.collect(), prefix));
            texts.extend(starting(names.schemas.iter().map(|name| format!("{}.", quoted(name))).collect(), prefix));
            texts.extend(starting(TABLE_FUNCTIONS.iter().map(|name| format!("{name}(")).collect(), prefix));
        } else if is_in(last, &["USING"]) {
            texts.extend(starting(ALGORITHMS.iter().map(|name| name.to_string()).collect(), prefix));
        } else {
            let named = self.relations(names);
            let own = named.iter().flat_map(|relation| columns(&relation.schema, &relation.name));
            texts.extend(starting(own.map(|name| quoted(&name)).collect(), prefix));
            texts.extend(starting(named.iter().map(|relation| quoted(&relation.alias)).collect(), prefix));
        }
        // Without a letter there would be hundreds.
        if !prefix.is_empty() && self.typed.kind == Kind::Word {
            texts.extend(starting(in_case(PHRASES, prefix), prefix));
            let own = FUNCTIONS.iter().map(|(name, ..)| name.to_string());
            let functions = own.chain(names.functions.iter().cloned());
            texts.extend(starting(functions.map(|name| format!("{name}(")).collect(), prefix));
            texts.extend(starting(in_case(KEYWORDS, prefix), prefix));
        }
        let mut seen = std::collections::HashSet::new();
        texts.retain(|text| seen.insert(text.trim_end().to_ascii_lowercase()));
        texts
    }

    /// The rest of phrases whose first words stand in front of the cursor.
    fn continued(&self, prefix: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for phrase in BEGINNINGS.iter().chain(PHRASES) {
            let words: Vec<&str> = phrase.split(' ').collect();
            for begun in 1..words.len() {
                let written = (0..begun)
                    .all(|at| words.get(begun - 1 - at).is_some_and(|word| word.eq_ignore_ascii_case(self.back(at))));
                // What begins a statement is begun only there.
                let at_home = !BEGINNINGS.contains(phrase) || self.before == begun;
                if written && at_home {
                    let rest = words.get(begun..).unwrap_or_default().join(" ");
                    let like = if prefix.is_empty() { self.back(0) } else { prefix };
                    texts.extend(starting(in_case(&[rest.as_str()], like), prefix));
                }
            }
        }
        texts.sort();
        texts.dedup();
        texts
    }

    /// The relations that the statement names, with what they are called in it.
    fn relations(&self, names: &Names) -> Vec<Named> {
        let mut found = Vec::new();
        let text = |at: usize| self.pieces.get(at).map_or("", |piece| piece.text(self.line));
        for at in 0..self.pieces.len() {
            if !is_in(text(at), &["FROM", "JOIN", "INTO", "UPDATE", "TABLE", "OVERWRITE"]) {
                continue;
            }
            let Some(first) = self.name_at(at + 1) else { continue };
            let (schema, name, next) = match (text(at + 2), self.name_at(at + 3)) {
                (".", Some(name)) => (first, name, at + 4),
                _ => (names.current.clone(), first, at + 2),
            };
            let next = if is_in(text(next), &["AS"]) { next + 1 } else { next };
            let alias = self.name_at(next).filter(|_| !is_in(text(next), KEYWORDS));
            found.push(Named { alias: alias.unwrap_or_else(|| name.clone()), schema, name });
        }
        found
    }

    fn name_at(&self, at: usize) -> Option<String> {
        let piece = self.pieces.get(at).filter(|piece| matches!(piece.kind, Kind::Word | Kind::Quoted))?;
        Some(unquoted(piece.text(self.line)))
    }
}

/// A relation of a statement.
struct Named {
    alias: String,
    schema: String,
    name: String,
}

/// A relation as it is written in the current schema.
fn relation(names: &Names, schema: &str, name: &str) -> String {
    match schema == names.current {
        true => quoted(name),
        false => format!("{}.{}", quoted(schema), quoted(name)),
    }
}

/// A name as SQL needs it.
pub fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && !is_in(name, RESERVED);
    match plain {
        true => name.to_string(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// A name as the catalog has it: unquoted names are folded to lower case.
fn unquoted(text: &str) -> String {
    match text.strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"').unwrap_or(inner).replace("\"\"", "\""),
        None => text.to_lowercase(),
    }
}

/// Keywords in the case in which the typing began, each with the blank that follows.
fn in_case(words: &[&str], like: &str) -> Vec<String> {
    let lower = like.chars().any(char::is_lowercase);
    words.iter().map(|word| if lower { format!("{} ", word.to_lowercase()) } else { format!("{word} ") }).collect()
}

/// Those that begin with what is typed, in whatever case and with or without quotes.
fn starting(candidates: Vec<String>, prefix: &str) -> Vec<String> {
    let bare = prefix.trim_start_matches('"').to_lowercase();
    let begins = |text: &String| text.trim_start_matches('"').to_lowercase().starts_with(&bare);
    candidates.into_iter().filter(begins).collect()
}

#[cfg(test)]
mod tests {
    use super::super::script;
    use super::*;

    fn names() -> Names {
        let pair = |schema: &str, name: &str| (schema.to_string(), name.to_string());
        Names {
            schemas: vec!["main".into(), "sales".into()],
            current: "main".into(),
            relations: vec![pair("main", "readings"), pair("main", "Mixed"), pair("sales", "orders")],
            functions: vec!["sqrt".into(), "sum".into()],
            models: vec!["demand".into()],
        }
    }

    /// What is offered where `|` stands.
    fn at(text: &str) -> Vec<String> {
        let position = text.find('|').unwrap();
        let columns = |schema: &str, table: &str| match (schema, table) {
            ("main", "readings") => vec!["hour".to_string(), "Demand".to_string()],
            ("sales", "orders") => vec!["order_id".to_string()],
            _ => vec![],
        };
        match offer(&text.replace('|', ""), position, &names(), &columns) {
            Offer::Texts(start, texts) => {
                assert!(start <= position);
                texts
            }
            Offer::Files => vec!["a file".into()],
        }
    }

    #[test]
    fn statements_begin_with_what_limn_does() {
        assert_eq!(at("tr|"), ["train model "]);
        assert_eq!(at("SELECT 1; TR|"), ["TRAIN MODEL "]);
        assert_eq!(at("train |"), ["model "]);
        assert_eq!(at("SHOW M|")[0], "MODELS ");
        assert!(at("|").contains(&"SELECT ".to_string()));
    }

    #[test]
    fn relations_stand_after_from() {
        let offered = at("SELECT * FROM r|");
        assert_eq!(offered.iter().take(3).collect::<Vec<_>>(), ["readings", "read_csv(", "read_json("]);
        assert_eq!(at("SELECT * FROM sales.|"), ["orders"]);
        assert_eq!(at("DESCRIBE mi|")[0], "\"Mixed\"");
        assert_eq!(at("SELECT * FROM \"Mi|"), ["\"Mixed\""]);
        assert_eq!(at("INSERT INTO sales|"), ["sales.orders", "sales."]);
    }

    #[test]
    fn columns_come_from_the_relations_of_the_statement() {
        assert_eq!(at("SELECT ho| FROM readings")[0], "hour");
        assert_eq!(at("SELECT d| FROM readings")[0], "\"Demand\"");
        assert_eq!(at("SELECT r.| FROM readings AS r"), ["hour", "\"Demand\""]);
        assert_eq!(at("SELECT o.o| FROM readings r JOIN sales.orders o ON true"), ["order_id"]);
        assert_eq!(at("SELECT 1 FROM orders; SELECT order| FROM sales.orders")[0], "order_id");
        assert!(at("SELECT sq| FROM readings").contains(&"sqrt(".to_string()));
    }

    #[test]
    fn models_stand_in_predict_and_after_model() {
        assert_eq!(at("SELECT PREDICT('|"), ["demand"]);
        assert_eq!(at("SELECT predict('de|', 1)"), ["demand"]);
        assert_eq!(at("DESCRIBE MODEL d|"), ["demand"]);
        assert_eq!(at("TRAIN MODEL m USING lin|"), ["linear_regression"]);
        assert_eq!(at("SELECT 'de|"), Vec::<String>::new());
    }

    #[test]
    fn phrases_go_on_from_their_first_words() {
        assert_eq!(at("SELECT * FROM readings VERSION |"), ["AS OF "]);
        assert_eq!(at("select * from readings version as |")[0], "of ");
        assert_eq!(at("TRAIN MODEL m SPLIT B|")[0], "BY TIME ");
    }

    #[test]
    fn commands_have_names_and_arguments() {
        assert_eq!(at("\\ti|"), ["timing"]);
        assert_eq!(at("\\f c|"), ["csv"]);
        assert_eq!(at("\\d ord|"), Vec::<String>::new());
        assert_eq!(at("\\d sal|"), ["sales.orders"]);
        assert_eq!(at("\\dm |"), ["demand"]);
        assert_eq!(at("\\i |"), ["a file"]);
        assert_eq!(at("SELECT * FROM read_csv('|"), ["a file"]);
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (name, expected) in [
            ("tables", "tables"),
            ("order", "\"order\""),
            ("Mixed", "\"Mixed\""),
            ("a\"b", "\"a\"\"b\""),
            ("1st", "\"1st\""),
            ("é", "\"é\""),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }

    #[test]
    fn whatever_is_typed_nothing_breaks() {
        let letters = [" ", "a", "'", "\"", ".", ";", "(", "\\", "-", "/*", "*/", "$", "é", "\n", "FROM "];
        let mut texts = vec![String::new()];
        for _ in 0..3 {
            texts = texts.iter().flat_map(|text| letters.map(|letter| format!("{text}{letter}"))).collect();
        }
        for text in &texts {
            for position in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let Offer::Texts(start, _) = offer(text, position, &names(), &|_, _| vec!["c".into()]) else {
                    continue;
                };
                assert!(start <= position && text.is_char_boundary(start), "{text:?} at {position}");
            }
            let mut rest = text.as_str();
            while let Some((_, after)) = script::next(rest) {
                assert!(after.len() < rest.len(), "{text:?}");
                rest = after;
            }
            let _either = script::is_complete(text);
        }
    }

    #[test]
    fn comments_and_numbers_are_left_alone() {
        assert_eq!(at("SELECT 1 -- se|"), Vec::<String>::new());
        assert_eq!(at("SELECT 1|"), Vec::<String>::new());
        // Positions that are no boundaries of characters are never given, but must not panic either.
        assert!(matches!(offer("é", 1, &names(), &|_, _| vec![]), Offer::Texts(..)));
    }
}
