//! The screen while a statement runs: a line that says how far it is, then its rows, through a pager where they are many.
//!
//! The progress goes to standard error and is gone before the first row is written. It knows bytes and no rows.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::limits::SHELL_PROGRESS_AFTER;

/// How often the progress is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);
/// What turns while nothing is known.
const TURNING: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Says that a statement runs, for how long, and how much of it is done.
pub struct Progress {
    shared: Arc<Shared>,
    drawing: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    done: Option<f64>,
    stopped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Begins to draw, after a moment.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        Progress { shared, drawing: Some(std::thread::spawn(move || draw(&own, Instant::now()))) }
    }

    /// What notes how much is done.
    pub fn meter(&self) -> impl FnMut(Option<f64>) + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move |done| shared.state().done = done
    }

    /// Takes the line away.
    pub fn stop(&mut self) {
        self.shared.state().stopped = true;
        self.shared.changed.notify_all();
        if let Some(drawing) = self.drawing.take() {
            // It only draws; a panic in it has been printed.
            let _ = drawing.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop();
    }
}

fn draw(shared: &Shared, begun: Instant) {
    let mut wait = SHELL_PROGRESS_AFTER;
    let mut drawn = false;
    for step in (0..TURNING.len()).cycle() {
        let (state, _) = shared
            .changed
            .wait_timeout_while(shared.state(), wait, |state| !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            break;
        }
        let line = progress_line(step, begun.elapsed(), state.done);
        drop(state);
        eprint!("\r{line}\x1b[K");
        drawn = true;
        wait = DRAW_INTERVAL;
    }
    if drawn {
        eprint!("\r\x1b[K");
    }
}

fn progress_line(step: usize, elapsed: Duration, done: Option<f64>) -> String {
    let turning = TURNING.get(step % TURNING.len()).copied().unwrap_or_default();
    let done = done.map(|done| format!(" · {:.0} %", done * 100.0)).unwrap_or_default();
    format!("{turning} {:.1} s{done} · Ctrl-C stops it", elapsed.as_secs_f64())
}

/// Where the rows of one statement go on a terminal.
pub struct Screen {
    progress: Option<Progress>,
    rows: Rows,
    /// Lines that fit without a pager, and the pager; everything goes straight to the terminal where not set.
    pager: Option<(usize, String)>,
}

enum Rows {
    /// Few so far: kept until it is known whether they fit.
    Kept(Vec<u8>),
    /// Straight to the terminal.
    Plain,
    /// To the pager's standard input.
    Paged(Child),
}

impl Screen {
    /// A screen that takes `progress` away before it writes.
    pub fn new(progress: Option<Progress>, pager: Option<(usize, String)>) -> Self {
        let rows = if pager.is_some() { Rows::Kept(Vec::new()) } else { Rows::Plain };
        Screen { progress, rows, pager }
    }

    /// Writes what is kept, and waits until the pager is left. Blocks its thread.
    pub fn finish(&mut self) -> io::Result<()> {
        self.progress = None;
        match std::mem::replace(&mut self.rows, Rows::Plain) {
            Rows::Kept(kept) => print(&kept),
            Rows::Plain => io::stdout().flush(),
            Rows::Paged(mut child) => {
                drop(child.stdin.take());
                tokio::task::block_in_place(|| child.wait()).map(|_status| ())
            }
        }
    }

    /// Begins to page where more is kept than fits.
    fn page(&mut self) -> io::Result<()> {
        let (Rows::Kept(kept), Some((lines, pager))) = (&mut self.rows, &self.pager) else { return Ok(()) };
        if kept.iter().filter(|byte| **byte == b'\n').count() < *lines {
            return Ok(());
        }
        let kept = std::mem::take(kept);
        // The pager is a line for the shell, as everywhere else that reads $PAGER.
        match Command::new("sh").args(["-c", pager]).stdin(Stdio::piped()).spawn() {
            Ok(child) => {
                self.rows = Rows::Paged(child);
                self.write_all(&kept)
            }
            Err(_no_shell) => {
                self.rows = Rows::Plain;
                print(&kept)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A statement that was stopped: what is kept of it still shows how far it came.
        let _ = self.finish();
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.progress = None;
        match &mut self.rows {
            Rows::Kept(kept) => {
                kept.extend_from_slice(bytes);
                self.page()?;
            }
            Rows::Plain => print(bytes)?,
            Rows::Paged(child) => {
                // Whoever reads page by page may take hours.
                let Some(input) = child.stdin.as_mut() else { return Err(io::ErrorKind::BrokenPipe.into()) };
                tokio::task::block_in_place(|| input.write_all(bytes))?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_known() {
        assert_eq!(progress_line(0, Duration::from_millis(1260), None), "⠋ 1.3 s · Ctrl-C stops it");
        assert_eq!(progress_line(11, Duration::from_secs(65), Some(0.456)), "⠙ 65.0 s · 46 % · Ctrl-C stops it");
    }

    #[test]
    fn a_short_statement_draws_nothing_and_ends_at_once() {
        let begun = Instant::now();
        Progress::start().stop();
        assert!(begun.elapsed() < SHELL_PROGRESS_AFTER);
    }
}
