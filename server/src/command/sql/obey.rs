//! What each command does.
//!
//! Those that only ask for a statement are statements already when they come here.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::commands::{self, Command, Expanded};
use super::runner::{Ended, Runner, Target};
use super::words::FUNCTIONS;
use crate::command::connection::own;
use crate::limits::SHELL_INCLUDES_MAX;
use crate::{Error, Result};

impl Runner {
    /// Does what a line without its backslash asks for.
    pub async fn command(&mut self, line: &str) -> Result<Ended> {
        match commands::parse(line)? {
            Command::Help => print!("{}", commands::help()),
            Command::Quit => return Ok(Ended::Quit),
            Command::Statement(sql) => return Ok(self.told(&sql).await),
            Command::Tables(schema) => return Ok(self.told(&tables(schema.as_deref())).await),
            Command::Functions(text) => return Ok(self.told(&functions(&text)).await),
            Command::Expanded(value) => {
                let turned = if self.settings.expanded == Expanded::On { Expanded::Auto } else { Expanded::On };
                self.settings.expanded = value.unwrap_or(turned);
                self.say(&format!("rows vertically: {}", self.expanded()));
            }
            Command::Timing(value) => {
                self.settings.timing = value.unwrap_or(!self.settings.timing);
                self.say(&format!("timing: {}", on(self.settings.timing)));
            }
            Command::Pager(value) => {
                self.settings.pager = value.unwrap_or(!self.settings.pager);
                self.say(&format!("pager: {}", on(self.settings.pager)));
            }
            Command::Format(value) => {
                self.settings.format = value.unwrap_or(self.settings.format);
                self.say(&format!("format: {}", self.settings.format.name()));
            }
            Command::Output(file) => self.redirect(file.as_deref())?,
            Command::Include(file) => return self.include(&file).await,
            Command::Edit => return self.edit().await,
            Command::Settings => print!("{}", self.shown_settings()),
            Command::Connect(url) => self.connect(url.as_deref()).await?,
            Command::ConnectionInfo => self.connection_info().await?,
            Command::Watch(interval) => return self.watch(interval).await,
        }
        Ok(Ended::Done)
    }

    /// Says something to a person; scripts are silent.
    fn say(&self, text: &str) {
        if self.interactive {
            eprintln!("{text}");
        }
    }

    fn expanded(&self) -> &'static str {
        match self.settings.expanded {
            Expanded::Auto => "auto",
            Expanded::On => "on",
            Expanded::Off => "off",
        }
    }

    fn shown_settings(&self) -> String {
        let output = match &self.target {
            Target::Standard => "the screen".to_string(),
            Target::File(file, _) => file.display().to_string(),
        };
        let lines = [
            ("format", self.settings.format.name(), r"\f"),
            ("rows vertically", self.expanded(), r"\x"),
            ("timing", on(self.settings.timing), r"\timing"),
            ("pager", on(self.settings.pager), r"\pager"),
            ("results to", &output, r"\o"),
        ];
        lines.map(|(name, value, command)| format!("{name:<16} {value:<12} {command}\n")).concat()
    }

    fn redirect(&mut self, file: Option<&Path>) -> Result<()> {
        self.target = match file {
            None => Target::Standard,
            Some(file) => {
                let opened = File::create(file)
                    .map_err(|error| Error::from(error).context(format!("cannot write `{}`", file.display())))?;
                Target::File(file.to_path_buf(), BufWriter::new(opened))
            }
        };
        Ok(())
    }

    async fn include(&mut self, file: &Path) -> Result<Ended> {
        let shown = file.display();
        if self.depth >= SHELL_INCLUDES_MAX {
            return Err(Error::exhausted(format!(
                "`{shown}` would be the {SHELL_INCLUDES_MAX}th file inside of files"
            )));
        }
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::from(error).context(format!("cannot read `{shown}`")))?;
        self.depth += 1;
        let ended = self.run(&text).await;
        self.depth -= 1;
        Ok(ended)
    }

    /// The last statement in an editor; what is left when it ends is run.
    async fn edit(&mut self) -> Result<Ended> {
        if !self.interactive || !std::io::stdin().is_terminal() {
            return Err(Error::input("`\\e` needs a terminal"));
        }
        let file = std::env::temp_dir().join(format!("limn-{}.sql", uuid::Uuid::new_v4().simple()));
        let text = self.last.as_deref().map(|last| format!("{last};\n")).unwrap_or_default();
        let edited = edited(&self.terminal.editor, &file, &text);
        let _ = std::fs::remove_file(&file);
        let edited = edited?;
        eprint!("{edited}");
        Ok(self.run(&edited).await)
    }

    async fn connect(&mut self, url: Option<&str>) -> Result<()> {
        match url {
            Some(url) => self.link.other(url).await?,
            None => self.link.again().await?,
        }
        self.names.refresh(self.link.client());
        self.say(&format!("connected to {}", self.link.options()));
        Ok(())
    }

    async fn connection_info(&mut self) -> Result<()> {
        let client = self.link.client();
        let info = client.server_info().await.map_err(own)?;
        let schema = client.options_of_session().await.map_err(own)?.remove("schema");
        let options = self.link.options();
        let user = match (&options.user, &options.token) {
            (Some(user), _) => user.as_str(),
            (None, Some(_)) => "by token",
            (None, None) => "nobody in particular",
        };
        println!("server   {} {} at {options}", info.name, info.version);
        println!("user     {user}");
        println!("schema   {}", schema.unwrap_or_default());
        println!("TLS      {}", on(options.tls));
        Ok(())
    }

    /// Repeats the last statement until it fails or is stopped.
    async fn watch(&mut self, interval: Duration) -> Result<Ended> {
        let Some(sql) = self.last.clone() else {
            return Err(Error::input("expected a statement before `\\watch`, found none"));
        };
        loop {
            let ended = self.told(&sql).await;
            if ended != Ended::Done {
                return Ok(ended);
            }
            let mut interrupts = signal(SignalKind::interrupt()).map_err(Error::from)?;
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                _ = interrupts.recv() => {
                    self.say_stopped();
                    return Ok(Ended::Done);
                }
            }
        }
    }
}

fn on(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

fn tables(schema: Option<&str>) -> String {
    match schema {
        Some(schema) => format!("SHOW TABLES IN {schema}"),
        None => "SHOW TABLES".into(),
    }
}

fn functions(text: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let own = FUNCTIONS
        .iter()
        .map(|(name, usage, what)| format!("({}, {}, {})", quoted(&name.to_lowercase()), quoted(usage), quoted(what)));
    format!(
        "SELECT function, min(usage) AS usage, min(description) AS description FROM (\
         SELECT routine_name AS function, syntax_example AS usage, description FROM information_schema.routines \
         UNION ALL SELECT * FROM (VALUES {}) AS own(function, usage, description)) AS functions \
         WHERE strpos(lower(function), {}) > 0 GROUP BY function ORDER BY function",
        own.collect::<Vec<_>>().join(", "),
        quoted(&text.to_lowercase())
    )
}

/// What an editor leaves in a file that only its owner may read.
fn edited(editor: &str, file: &Path, text: &str) -> Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |error: std::io::Error| Error::from(error).context(format!("cannot edit `{}`", file.display()));
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    opened.write_all(text.as_bytes()).map_err(failed)?;
    drop(opened);
    let mut process = Process::new("sh");
    process.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(file);
    let status = tokio::task::block_in_place(|| process.status()).map_err(failed)?;
    match status.success() {
        true => std::fs::read_to_string(file).map_err(failed),
        false => Err(Error::input(format!("the editor `{editor}` ended with {status}; nothing is run"))),
    }
}
