//! The line editor: rustyline with history, multi-line input, completion, colours and suggestions from the history.
//!
//! It brings lines and knows nothing of what is done with them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context};

use super::complete::{Offer, offer};
use super::highlight::colored;
use super::names::KnownNames;
use super::script;
use crate::limits::SHELL_HISTORY_ENTRIES;
use crate::{Error, Result};

/// The editor of the shell.
pub struct Editor {
    inner: rustyline::Editor<Help, DefaultHistory>,
    history: PathBuf,
    color: bool,
}

/// What came from the keyboard.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Complete input.
    Input(String),
    /// Ctrl-C: what was typed is thrown away.
    Nothing,
    /// Ctrl-D on an empty line.
    End,
}

impl Editor {
    /// An editor with the history of a file, if there is one.
    pub fn new(history: &Path, names: Arc<KnownNames>, color: bool) -> Result<Self> {
        let config = Config::builder()
            .max_history_size(SHELL_HISTORY_ENTRIES)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(unusable)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .color_mode(if color { ColorMode::Enabled } else { ColorMode::Disabled })
            .tab_stop(2)
            .build();
        let mut inner = rustyline::Editor::with_config(config).map_err(unusable)?;
        inner.set_helper(Some(Help { names, files: FilenameCompleter::new(), past: HistoryHinter::new(), color }));
        // The first time there is none.
        let _no_history_yet = inner.load_history(history);
        Ok(Editor { inner, history: history.to_path_buf(), color })
    }

    /// Reads until the input is complete. Blocks its thread, which may be one of a runtime with several.
    pub fn read(&mut self, prompt: &str) -> Result<Typed> {
        let styled = if self.color { format!("\x1b[1;32m{prompt}\x1b[0m") } else { prompt.to_string() };
        match tokio::task::block_in_place(|| self.inner.readline(&(prompt, styled))) {
            Ok(input) => Ok(Typed::Input(input)),
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(unusable(error)),
        }
    }

    /// Remembers an input, in the file too.
    pub fn remember(&mut self, input: &str) {
        let input = input.trim_end();
        if input.is_empty() || !self.inner.add_history_entry(input).unwrap_or(false) {
            return;
        }
        if let Err(error) = self.inner.append_history(&self.history) {
            eprintln!("the history cannot be written to `{}`: {error}", self.history.display());
        }
    }

    /// The columns and lines of the terminal, where it tells.
    pub fn dimensions(&mut self) -> Option<(usize, usize)> {
        self.inner.dimensions().map(|(columns, lines)| (columns.into(), lines.into()))
    }
}

fn unusable(error: ReadlineError) -> Error {
    Error::internal(format!("the terminal cannot be used: {error}"))
}

/// The columns and lines of the terminal behind standard output; `None` where there is none.
pub fn terminal_dimensions() -> Option<(usize, usize)> {
    let (columns, lines) = rustyline::DefaultEditor::new().ok()?.dimensions()?;
    Some((columns.into(), lines.into()))
}

/// What the editor asks while one types.
struct Help {
    names: Arc<KnownNames>,
    files: FilenameCompleter,
    past: HistoryHinter,
    color: bool,
}

impl rustyline::Helper for Help {}

impl Completer for Help {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, ctx: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let columns = |schema: &str, table: &str| self.names.columns(schema, table);
        match offer(line, pos, &self.names.names(), &columns) {
            Offer::Texts(start, texts) => {
                let pair = |text: String| Pair { display: text.trim_end().to_string(), replacement: text };
                Ok((start, texts.into_iter().map(pair).collect()))
            }
            Offer::Files => self.files.complete(line, pos, ctx),
        }
    }
}

/// A suggestion from the history; of several lines the first is shown.
struct Past {
    shown: String,
    whole: String,
}

impl Hint for Past {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        Some(&self.whole)
    }
}

impl Hinter for Help {
    type Hint = Past;

    fn hint(&self, line: &str, pos: usize, ctx: &Context<'_>) -> Option<Past> {
        // Without colours a suggestion would look like what was typed.
        let whole = self.past.hint(line, pos, ctx).filter(|_| self.color)?;
        let shown = match whole.split_once('\n') {
            Some((first, _)) => format!("{first} …"),
            None => whole.clone(),
        };
        Some(Past { shown, whole })
    }
}

impl Highlighter for Help {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        match self.color {
            true => Cow::Owned(colored(line)),
            false => Cow::Borrowed(line),
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }

    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        self.color && kind != CmdKind::MoveCursor
    }
}

impl Validator for Help {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        match script::is_complete(ctx.input()) {
            true => Ok(ValidationResult::Valid(None)),
            false => Ok(ValidationResult::Incomplete),
        }
    }
}
