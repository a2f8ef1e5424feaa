//! A `limn serve` of its own for one test: the real binary on free ports and a directory that goes away.
//!
//! It waits for the ready file, never for a time. It knows the command line and nothing of what is behind it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::wire::Wire;
use crate::{Context, Outcome, fail, paths};

/// How long a server may take until its ready file is there.
pub const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long a server may take to end after SIGTERM.
pub const EXIT_DEADLINE: Duration = Duration::from_secs(60);
/// How often the ready file and the process are looked at.
pub const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How to start a server; what is not set is the binary's default.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The data directory; a new one beside the logs if not set.
    pub data_dir: Option<PathBuf>,
    /// The directory in which the server runs; relative paths in SQL are from there. `tests/` if not set.
    pub working_dir: Option<PathBuf>,
    /// Where Flight SQL is served; a free port of the loopback if not set.
    pub flight_addr: Option<String>,
    /// More arguments after `serve`.
    pub arguments: Vec<String>,
    /// More environment.
    pub environment: Vec<(String, String)>,
}

/// A running server. Dropping it kills it and removes its directory.
#[derive(Debug)]
pub struct TestServer {
    child: Child,
    options: ServerOptions,
    // Shared, so that a second server can be started on the same directory.
    scratch: Arc<TempDir>,
    starts: u32,
    flight: String,
    http: String,
    ready_after: Duration,
}

impl TestServer {
    /// Starts a server on a new data directory and waits until it accepts.
    pub fn start() -> Outcome<Self> {
        Self::start_with(ServerOptions::default())
    }

    /// Starts a server as the options say and waits until it accepts.
    pub fn start_with(options: ServerOptions) -> Outcome<Self> {
        let scratch = Arc::new(tempfile::tempdir()?);
        let (child, started) = spawn(&options, scratch.path(), 1)?;
        let mut server = TestServer {
            child,
            options,
            scratch,
            starts: 1,
            flight: String::new(),
            http: String::new(),
            ready_after: Duration::ZERO,
        };
        server.wait_ready(started)?;
        Ok(server)
    }

    /// Starts the server again on the same directory; it must have ended.
    pub fn restart(&mut self) -> Outcome {
        if self.child.try_wait()?.is_none() {
            return Err(fail("expected the server to have ended before it is started again"));
        }
        self.starts += 1;
        let (child, started) = spawn(&self.options, self.scratch.path(), self.starts)?;
        self.child = child;
        self.wait_ready(started)
    }

    /// Starts the server again at an address where it was, as a service that is restarted.
    pub fn restart_on(&mut self, flight_addr: &str) -> Outcome {
        self.options.flight_addr = Some(flight_addr.to_string());
        self.restart()
    }

    /// The Flight SQL address as clients of Arrow write it.
    pub fn flight_url(&self) -> String {
        format!("grpc://{}", self.flight)
    }

    /// The Flight SQL address, `host:port`.
    pub fn flight_addr(&self) -> &str {
        &self.flight
    }

    /// The address of the HTTP listener.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The HTTP listener's address, `host:port`.
    pub fn http_addr(&self) -> &str {
        &self.http
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(&self.options, self.scratch.path())
    }

    /// A directory for the test's own files, beside the data directory.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// From spawning the process to seeing its ready file.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// A new connection with a session of its own.
    pub async fn connect(&self) -> Outcome<Wire> {
        Wire::connect(&self.flight).await
    }

    /// What the server wrote to stderr since its last start.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(stderr_path(self.scratch.path(), self.starts)).unwrap_or_default()
    }

    /// Ends the server as a crash would: SIGKILL.
    pub fn kill9(&mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the server to end, as a supervisor would: SIGTERM; waits until it has drained.
    pub fn terminate(&mut self) -> Outcome<ExitStatus> {
        self.ask_to_end()?;
        self.ended()
    }

    /// Asks the server to end: SIGTERM; does not wait.
    pub fn ask_to_end(&self) -> Outcome {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().context("running `kill`")?;
        match sent.success() {
            true => Ok(()),
            false => Err(fail(format!("`kill -TERM {pid}` gave {sent}"))),
        }
    }

    /// The server's resident memory, in bytes.
    pub fn resident_bytes(&self) -> Outcome<u64> {
        let kib: u64 = self.process_status("VmRSS:")?.trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// The part of it that the server allocated, in bytes: pages of files, its own binary's among them, are not in it.
    pub fn allocated_bytes(&self) -> Outcome<u64> {
        let kib: u64 = self.process_status("RssAnon:")?.trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// The most memory that was resident since [`TestServer::forget_peak`], in bytes.
    pub fn peak_bytes(&self) -> Outcome<u64> {
        let kib: u64 = self.process_status("VmHWM:")?.trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// From now on the peak is that of what comes.
    pub fn forget_peak(&self) -> Outcome {
        // Documented under `clear_refs` in proc_pid_clear_refs(5).
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").context("forgetting the peak")
    }

    /// The files and connections that the server has open.
    pub fn open_files(&self) -> Outcome<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// The server's threads.
    pub fn threads(&self) -> Outcome<usize> {
        Ok(self.process_status("Threads:")?.parse()?)
    }

    /// A line of what Linux tells of the process.
    fn process_status(&self, name: &str) -> Outcome<String> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).context(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
        Ok(line.trim().to_string())
    }

    /// A page of the HTTP listener: its status and its body.
    pub fn http_get(&self, path: &str) -> Outcome<(u16, String)> {
        let mut connection = TcpStream::connect(&self.http)?;
        write!(connection, "GET {path} HTTP/1.1\r\nHost: limn\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        connection.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").context("an answer without a body")?;
        let status = head.split(' ').nth(1).context("an answer without a status")?;
        Ok((status.parse()?, body.to_string()))
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> Outcome<i64> {
        let (_, text) = self.http_get("/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).context(name)?;
        Ok(line.parse()?)
    }

    /// Waits until a metric has a value.
    pub fn until_metric(&self, name: &str, wanted: i64) -> Outcome {
        let deadline = Instant::now() + EXIT_DEADLINE;
        loop {
            let found = self.metric(name)?;
            if found == wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(fail(format!("expected `{name}` to become {wanted}, found {found}")));
            }
            std::thread::park_timeout(POLL_INTERVAL);
        }
    }

    /// Waits until a metric is no more than that.
    pub fn until_at_most(&self, name: &str, most: i64) -> Outcome {
        let deadline = Instant::now() + EXIT_DEADLINE;
        loop {
            let found = self.metric(name)?;
            if found <= most {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(fail(format!("expected `{name}` to become {most} at most, found {found}")));
            }
            std::thread::park_timeout(POLL_INTERVAL);
        }
    }

    /// Waits until the server has ended.
    pub fn ended(&mut self) -> Outcome<ExitStatus> {
        let deadline = Instant::now() + EXIT_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(fail(format!("the server did not end in {EXIT_DEADLINE:?}; stderr:\n{}", self.stderr())));
            }
            std::thread::park_timeout(POLL_INTERVAL);
        }
    }

    fn wait_ready(&mut self, started: Instant) -> Outcome {
        let ready = ready_path(self.scratch.path(), self.starts);
        loop {
            // A ready file appears whole or not at all; a half-written one would be a bug worth failing on.
            if let Ok(text) = std::fs::read_to_string(&ready) {
                self.ready_after = started.elapsed();
                return self.read_ready(&text);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(fail(format!("the server ended with {status} before it was ready:\n{}", self.stderr())));
            }
            if started.elapsed() > READY_DEADLINE {
                return Err(fail(format!("the server was not ready in {READY_DEADLINE:?}:\n{}", self.stderr())));
            }
            std::thread::park_timeout(POLL_INTERVAL);
        }
    }

    fn read_ready(&mut self, text: &str) -> Outcome {
        let ready: serde_json::Value =
            serde_json::from_str(text).context(format!("reading the ready file `{text}`"))?;
        let address = |key: &str| match ready.get(key).and_then(|v| v.as_str()) {
            Some(address) => Ok(address.to_string()),
            None => Err(fail(format!("expected `{key}` in the ready file, found `{text}`"))),
        };
        self.flight = address("flight")?;
        self.http = address("http")?;
        Ok(())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and the child may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's stderr:\n{}", self.stderr());
        }
    }
}

/// Runs `limn` with these arguments to its end; for starts that must fail and for the other subcommands.
pub fn limn_command() -> Outcome<Command> {
    let mut command = Command::new(paths::limn()?);
    command.current_dir(paths::tests()).stdin(Stdio::null());
    Ok(command)
}

fn data_dir(options: &ServerOptions, scratch: &Path) -> PathBuf {
    options.data_dir.clone().unwrap_or_else(|| scratch.join("data"))
}

fn ready_path(scratch: &Path, start: u32) -> PathBuf {
    scratch.join(format!("ready-{start}.json"))
}

fn stderr_path(scratch: &Path, start: u32) -> PathBuf {
    scratch.join(format!("stderr-{start}.txt"))
}

fn spawn(options: &ServerOptions, scratch: &Path, start: u32) -> Outcome<(Child, Instant)> {
    let stderr = std::fs::File::create(stderr_path(scratch, start))?;
    let mut command = limn_command()?;
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(data_dir(options, scratch))
        .args(["--flight-addr", options.flight_addr.as_deref().unwrap_or("127.0.0.1:0")])
        .args(["--http-addr", "127.0.0.1:0"])
        .arg("--ready-file")
        .arg(ready_path(scratch, start))
        .args(&options.arguments)
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .stderr(stderr);
    if let Some(dir) = &options.working_dir {
        command.current_dir(dir);
    }
    let started = Instant::now();
    let child = command.spawn().context("starting the server")?;
    Ok((child, started))
}
