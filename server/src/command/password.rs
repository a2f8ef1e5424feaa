//! Passwords from a person or from standard input; never from the command line, which others can read.
//!
//! It knows nothing of what a password must be like.

use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use crate::limits::PASSWORD_BYTES_MAX;
use crate::{Error, Result};

/// Asks on the terminal, which does not show what is typed.
pub fn ask(prompt: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::input("expected a password, and there is no terminal to ask on")
            .with_hint("write it to standard input with --password-stdin, or use a token"));
    }
    // Hidden before it is asked for, so that not even the quickest hands are seen.
    let hidden = Hidden::begin();
    eprint!("{prompt}");
    // What is asked goes out before the answer is waited for; where it cannot, the person sees nothing and may still type.
    let _ = std::io::stderr().flush();
    let line = read_line(std::io::stdin().lock());
    drop(hidden);
    eprintln!();
    line
}

/// Asks twice, for a new password.
pub fn ask_new(user: &str) -> Result<String> {
    let first = ask(&format!("new password of {user}: "))?;
    match ask("once more: ")? == first {
        true => Ok(first),
        false => Err(Error::input("the two passwords are not the same")),
    }
}

/// The first line of standard input.
pub fn from_stdin() -> Result<String> {
    read_line(std::io::stdin().lock())
}

/// One line without its end, and not more of it than a password may have.
fn read_line(input: impl BufRead) -> Result<String> {
    let mut line = String::new();
    let most = PASSWORD_BYTES_MAX as u64 + 2;
    input.take(most).read_line(&mut line).map_err(|error| Error::from(error).context("cannot read the password"))?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    match line.is_empty() {
        true => Err(Error::input("expected a password, found an empty line")),
        false => Ok(line),
    }
}

/// The terminal shows nothing while this lives.
struct Hidden;

impl Hidden {
    fn begin() -> Self {
        stty("-echo");
        Hidden
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        stty("echo");
    }
}

/// The standard tool for terminals; where it is missing, the password is seen by whoever typed it.
fn stty(setting: &str) {
    let _ = Command::new("stty").arg(setting).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn a_line_loses_its_end_and_nothing_else() {
        for (input, expected) in [("a b \n", "a b "), ("é\r\nmore", "é"), ("x", "x")] {
            assert_eq!(read_line(input.as_bytes()).unwrap(), expected);
        }
        for input in ["", "\n", "\r\n"] {
            assert_eq!(read_line(input.as_bytes()).unwrap_err().class(), Class::Input);
        }
        let long = "x".repeat(10 * PASSWORD_BYTES_MAX);
        assert_eq!(read_line(long.as_bytes()).unwrap().len(), PASSWORD_BYTES_MAX + 2);
    }
}
