//! A program in a pseudo-terminal: what a person types at it, and what they see.
//!
//! The terminal itself is Python's; here are the keyboard and the screen, without the sequences that move the cursor
//! and colour the text. It waits for what is seen, never for a time.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::python::Python;
use crate::{Context, Outcome, fail, paths};

/// How long something may take until it is seen.
const SEEN_DEADLINE: Duration = Duration::from_secs(60);

/// Stands on the screen where a line editor begins to read: where it switches the terminal to bracketed paste.
pub const READING: &str = "\u{2}";
/// Stands on the screen where a line editor has read its input.
pub const ENTERED: &str = "\u{3}";

/// How wide and high a terminal is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Characters of a line.
    pub columns: u16,
    /// Lines.
    pub lines: u16,
}

/// A running program with its keyboard and its screen. Dropping it ends the program.
pub struct Terminal {
    child: Child,
    keyboard: Option<ChildStdin>,
    screen: Arc<Screen>,
    /// Up to where the screen has been read, in characters.
    read: usize,
}

#[derive(Default)]
struct Screen {
    shown: Mutex<Shown>,
    changed: Condvar,
}

#[derive(Default)]
struct Shown {
    bytes: Vec<u8>,
    ended: bool,
}

impl Screen {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terminal {
    /// Starts a program.
    pub fn start(
        python: &Python,
        size: Size,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Outcome<Self> {
        let mut command = python.command(&paths::tests().join("clients/python/relay.py"));
        command.args([size.columns.to_string(), size.lines.to_string()]).arg(program).args(arguments);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(environment.iter().copied());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting the pseudo-terminal")?;
        let keyboard = child.stdin.take();
        let mut output = child.stdout.take().context("the terminal has no output")?;
        let screen = Arc::new(Screen::default());
        let own = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let read = output.read(&mut buffer).unwrap_or(0);
                let mut shown = own.shown();
                shown.bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
                shown.ended = read == 0;
                own.changed.notify_all();
                if shown.ended {
                    break;
                }
            }
        });
        Ok(Terminal { child, keyboard, screen, read: 0 })
    }

    /// Types a text; `\r` is Enter, `\t` Tab, `\x03` Ctrl-C, `\x04` Ctrl-D.
    pub fn press(&mut self, keys: &str) -> Outcome {
        let keyboard = self.keyboard.as_mut().context("the keyboard is taken away")?;
        keyboard.write_all(keys.as_bytes())?;
        keyboard.flush()?;
        Ok(())
    }

    /// Waits until a text is seen after what was seen before, and gives everything up to its end.
    pub fn see(&mut self, text: &str) -> Outcome<String> {
        self.see_within(text, SEEN_DEADLINE)?.with_context(|shown| {
            format!("expected to see `{text}` within {SEEN_DEADLINE:?}; since the last look the screen shows:\n{shown}")
        })
    }

    /// Whether a text is seen in so much time; what was seen since the last look, either way.
    pub fn see_within(&mut self, text: &str, limit: Duration) -> Outcome<Seen> {
        let deadline = Instant::now() + limit;
        let mut shown = self.screen.shown();
        loop {
            let all = plain(&shown.bytes);
            let new: String = all.chars().skip(self.read).collect();
            if let Some((before, _)) = new.split_once(text) {
                let seen = format!("{before}{text}");
                self.read += seen.chars().count();
                return Ok(Seen::Yes(seen));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || shown.ended {
                return Ok(Seen::No(new));
            }
            shown = self.screen.changed.wait_timeout(shown, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the program has ended.
    pub fn ended(&mut self) -> Outcome<ExitStatus> {
        let deadline = Instant::now() + SEEN_DEADLINE;
        let mut shown = self.screen.shown();
        while !shown.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(fail(format!("the program did not end; its screen:\n{}", plain(&shown.bytes))));
            }
            shown = self.screen.changed.wait_timeout(shown, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(shown);
        Ok(self.child.wait()?)
    }
}

/// What was seen.
#[derive(Debug)]
pub enum Seen {
    /// The text, and what came before it.
    Yes(String),
    /// Something else.
    No(String),
}

impl Seen {
    #[track_caller]
    fn with_context(self, text: impl FnOnce(&str) -> String) -> Outcome<String> {
        match self {
            Seen::Yes(seen) => Ok(seen),
            Seen::No(shown) => Err(fail(text(&shown))),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The program notices that its terminal is gone.
        self.keyboard = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is shown without escape sequences and carriage returns, but with [`READING`] and [`ENTERED`].
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                let mut sequence = String::new();
                // A control sequence ends with its first letter or similar, ECMA-48 5.4.
                for c in chars.by_ref() {
                    sequence.push(c);
                    if ('@'..='~').contains(&c) {
                        break;
                    }
                }
                match sequence.as_str() {
                    "?2004h" => out.push_str(READING),
                    "?2004l" => out.push_str(ENTERED),
                    _ => {}
                }
            }
            '\u{1b}' => {
                chars.next();
            }
            '\r' => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_left_out() {
        assert_eq!(
            plain(b"\x1b[?2004h\x1b[1;32mlimn> \x1b[0mab\r\n\x1b[?2004l\xc3\xa9\x1b[K"),
            "\u{2}limn> ab\n\u{3}é"
        );
    }
}
