//! Runs what is typed or read: statements and commands, one after the other, with the shell's settings.
//!
//! The shell and scripts share it; a script has no screen and stops at its first error. What a statement means is the
//! server's business.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::commands::Expanded;
use super::complaint::Complaint;
use super::link::Link;
use super::names::KnownNames;
use super::render::{Failure, Output, Written};
use super::screen::{Progress, Screen};
use super::script::{self, Step};
use super::table::Style;
use super::words::{CHANGES_NAMES, is_in};
use crate::config::{Format, Terminal};
use crate::{Class, Result};

/// What the commands of the shell set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How results are written.
    pub format: Format,
    /// When rows are written vertically.
    pub expanded: Expanded,
    /// Whether the time of each statement is told.
    pub timing: bool,
    /// Whether long results go through the pager.
    pub pager: bool,
}

/// Where results go.
pub enum Target {
    /// Standard output.
    Standard,
    /// A file that `\o` opened.
    File(PathBuf, BufWriter<File>),
}

/// How a run of statements ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All of them ran.
    Done,
    /// One failed or was stopped; the rest did not run.
    Failed,
    /// The shell is to end.
    Quit,
}

/// The state between statements.
pub struct Runner {
    /// The connection.
    pub link: Link,
    /// What the commands set.
    pub settings: Settings,
    /// Where results go.
    pub target: Target,
    /// The last statement that ran.
    pub last: Option<String>,
    /// How long the last statement took, where that is not the time until now.
    pub took: Option<Duration>,
    /// Whether a person is typing.
    pub interactive: bool,
    /// The programs and colours of the terminal.
    pub terminal: Terminal,
    /// The columns and lines of the terminal, where standard output is one.
    pub dimensions: Option<(usize, usize)>,
    /// The names that completion offers.
    pub names: Arc<KnownNames>,
    /// How deep files include each other.
    pub depth: usize,
}

impl Runner {
    /// Runs everything in `text`, up to the first failure.
    pub async fn run(&mut self, text: &str) -> Ended {
        let mut rest = text;
        while let Some((step, after)) = script::next(rest) {
            rest = after;
            let ended = match step {
                Step::Statement(sql) => self.told(sql).await,
                Step::Command(line) => match Box::pin(self.command(line)).await {
                    Ok(ended) => ended,
                    Err(error) => {
                        self.complain(&Complaint::from(&error));
                        Ended::Failed
                    }
                },
            };
            if ended != Ended::Done {
                return ended;
            }
        }
        Ended::Done
    }

    /// Runs a statement and tells how it ended.
    pub async fn told(&mut self, sql: &str) -> Ended {
        if self.interactive && !self.found_again().await {
            return Ended::Failed;
        }
        let begun = Instant::now();
        self.took = None;
        let ended = match self.statement(sql).await {
            Err(Failure::Client(error)) if error.class() == limn_client::Class::Unauthenticated && self.interactive => {
                // A session that expired is opened anew. The statement did not run, so it can run now.
                match self.link.again().await {
                    Ok(()) => self.statement(sql).await,
                    Err(_still_refused) => Err(error.into()),
                }
            }
            ended => ended,
        };
        self.last = Some(sql.to_string());
        match ended {
            Ok(written) => {
                self.tell(written, begun);
                self.after(sql).await;
                Ended::Done
            }
            // Whoever quits the pager has seen enough; whoever closes a pipe gets no more.
            Err(failure) if failure.is_unread() => {
                if self.interactive {
                    Ended::Done
                } else {
                    Ended::Failed
                }
            }
            Err(failure) => {
                self.failed(&failure, sql).await;
                Ended::Failed
            }
        }
    }

    /// Runs a statement. A person's Ctrl-C stops it.
    async fn statement(&mut self, sql: &str) -> Result<Written, Failure> {
        if !self.interactive {
            return self.written(sql).await;
        }
        let Ok(mut interrupts) = signal(SignalKind::interrupt()) else { return self.written(sql).await };
        tokio::select! {
            ended = self.written(sql) => ended,
            // Dropping the statement's future cancels it on the server.
            _ = interrupts.recv() => Err(Failure::Stopped),
        }
    }

    async fn written(&mut self, sql: &str) -> Result<Written, Failure> {
        let format = match (self.settings.format, self.settings.expanded) {
            (Format::Table, Expanded::On) => Format::Vertical,
            (format, _) => format,
        };
        let (begun, client) = (Instant::now(), self.link.client().clone());
        let progress = (self.interactive && std::io::stderr().is_terminal()).then(Progress::start);
        let rows = match &progress {
            Some(progress) => client.query_with_progress(sql, progress.meter()).await?,
            None => client.query(sql).await?,
        };
        if let Target::File(_, file) = &mut self.target {
            let _until_here = progress;
            let written = Output::new(format, &mut *file).rows(rows).await?;
            file.flush()?;
            return Ok(written);
        }
        let style = Style::of_terminal(self.dimensions, self.terminal.color);
        let turns = style.columns.is_some() && self.settings.expanded == Expanded::Auto;
        if !self.interactive {
            let mut output = Output::new(format, BufWriter::new(std::io::stdout().lock())).styled(style, turns);
            return output.rows(rows).await;
        }
        let mut output = Output::new(format, Screen::new(progress, self.pager(format))).styled(style, turns);
        let written = output.rows(rows).await;
        // Reading in a pager is no part of a statement's time.
        self.took = Some(begun.elapsed());
        output.into_inner().finish()?;
        written
    }

    /// The pager for results that are longer than the terminal; an Arrow stream is not for reading.
    fn pager(&self, format: Format) -> Option<(usize, String)> {
        let (_, lines) = self.dimensions.filter(|_| self.settings.pager && format != Format::Arrow)?;
        Some((lines.saturating_sub(1).max(1), self.terminal.pager.clone()))
    }

    fn tell(&self, written: Written, begun: Instant) {
        if !self.settings.timing {
            return;
        }
        let seconds = self.took.unwrap_or_else(|| begun.elapsed()).as_secs_f64();
        match written {
            Written::Effect => eprintln!("{seconds:.3} s"),
            Written::Rows(1) => eprintln!("1 row, {seconds:.3} s"),
            Written::Rows(rows) => eprintln!("{rows} rows, {seconds:.3} s"),
        }
    }

    /// What else is to do after a statement that ran.
    async fn after(&mut self, sql: &str) {
        let first = sql.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
        if !self.interactive || !is_in(first, CHANGES_NAMES) {
            return;
        }
        if is_in(first, &["USE", "SET", "RESET"]) {
            self.link.note_settings().await;
        }
        self.names.refresh(self.link.client());
    }

    /// Whether the session is the one that it was, or is so again.
    async fn found_again(&mut self) -> bool {
        match self.link.recover().await {
            Ok(false) => true,
            Ok(true) => {
                eprintln!("the server had forgotten the session; its settings are back");
                true
            }
            // The statement itself says what is wrong with the connection, or does not mind.
            Err(error) if error.class() == Class::Unavailable => self.reconnected().await,
            Err(error) => {
                self.complain(&Complaint::from(&error));
                false
            }
        }
    }

    /// Tells a failure, and connects again where the connection is what failed.
    async fn failed(&mut self, failure: &Failure, sql: &str) {
        if matches!(failure, Failure::Stopped) {
            return self.say_stopped();
        }
        self.complain(&Complaint::of(failure, sql));
        let Failure::Client(error) = failure else { return };
        if self.interactive && error.class() == limn_client::Class::Unavailable && self.reconnected().await {
            eprintln!("the statement is not repeated by itself: it may have been done");
        }
    }

    /// Connects again, and tells whether that worked.
    async fn reconnected(&mut self) -> bool {
        match self.link.again().await {
            Ok(()) => {
                eprintln!("the connection was lost; connected again to {}", self.link.options());
                self.names.refresh(self.link.client());
                true
            }
            Err(error) => {
                self.complain(&Complaint::from(&error));
                eprintln!("not connected; the next statement or \\c tries again");
                false
            }
        }
    }

    /// Says that a person's Ctrl-C was heard, in place of the `^C` that the terminal shows.
    pub fn say_stopped(&self) {
        let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{clear}stopped");
    }

    /// Tells an error on standard error.
    pub fn complain(&self, complaint: &Complaint) {
        let color = self.interactive && self.terminal.color && std::io::stderr().is_terminal();
        eprint!("{}", complaint.shown(color));
    }
}
