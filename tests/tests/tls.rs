//! TLS against the real binary: certificates made here, right and wrong ones, new ones while the server runs, and
//! clients that prove who they are with one.
//!
//! The client is tonic's own; nothing of Limn checks what Limn presents.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use limn_tests::bare::Bare;
use limn_tests::server::{ServerOptions, limn_command};
use limn_tests::{Context, Outcome, TestServer, ensure, fail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// printf 'root:battery staple' | base64
const ROOT: &str = "Basic cm9vdDpiYXR0ZXJ5IHN0YXBsZQ==";
/// How long a server may take to use a new certificate.
const RELOAD_DEADLINE: Duration = Duration::from_secs(30);

/// An authority that a test trusts or does not.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Outcome<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// A certificate and its key, as PEM.
    fn issue(&self, common_name: Option<&str>, dns_names: &[&str]) -> Outcome<(String, String)> {
        let names: Vec<String> = dns_names.iter().map(|name| (*name).to_string()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.0)?.pem(), key.serialize_pem()))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// A server with TLS: its files are in `dir`, and its clients' certificates are from `clients`.
fn serve(dir: &Path, authority: &Authority, clients: Option<&Authority>) -> Outcome<TestServer> {
    let (certificate, key, client_ca) = (dir.join("server.pem"), dir.join("server.key"), dir.join("clients.pem"));
    let (chain, secret) = authority.issue(Some("limn"), &["localhost", "first.example"])?;
    std::fs::write(&certificate, chain)?;
    std::fs::write(&key, secret)?;
    let path = |path: &PathBuf| path.display().to_string();
    let mut arguments = vec!["--tls-cert".into(), path(&certificate), "--tls-key".into(), path(&key)];
    if let Some(clients) = clients {
        std::fs::write(&client_ca, clients.pem())?;
        arguments.extend(["--tls-client-ca".into(), path(&client_ca)]);
    }
    TestServer::start_with(ServerOptions { arguments, ..Default::default() })
}

/// How a client trusts `authority` and expects the server to be called `name`.
fn trusting(authority: &Authority, name: &str) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem())).domain_name(name)
}

async fn connect(server: &TestServer, config: ClientTlsConfig) -> Outcome<Channel> {
    let endpoint = Endpoint::from_shared(format!("https://{}", server.flight_addr()))?.tls_config(config)?;
    Ok(endpoint.connect().await?)
}

#[tokio::test]
async fn a_trusted_server_answers_and_others_are_not_talked_to() -> Outcome {
    let (dir, authority, other) = (tempfile::tempdir()?, Authority::new("ours")?, Authority::new("theirs")?);
    let server = serve(dir.path(), &authority, None)?;
    let rows = Bare::over(connect(&server, trusting(&authority, "localhost")).await?).sql("SELECT 1").await?;
    ensure(rows == [["1"]], || format!("{rows:?}"))?;
    for (what, config) in [
        ("another authority", trusting(&other, "localhost")),
        ("another name", trusting(&authority, "elsewhere.example")),
    ] {
        ensure(connect(&server, config).await.is_err(), || format!("a client that expects {what} connected"))?;
    }
    // The failed ones harm nobody.
    Bare::over(connect(&server, trusting(&authority, "localhost")).await?).sql("SELECT 1").await?;
    Ok(())
}

#[tokio::test]
async fn a_client_without_tls_fails_cleanly() -> Outcome {
    let (dir, authority) = (tempfile::tempdir()?, Authority::new("ours")?);
    let mut server = serve(dir.path(), &authority, None)?;
    let mut refused = 0;
    match Bare::connect(server.flight_addr()).await {
        // Some clients find out with the connection, some with the first call.
        Err(_) => refused += 1,
        Ok(mut bare) => {
            let status = bare.sql("SELECT 1").await.err().context("a client without TLS was answered")?;
            ensure(matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal), || {
                format!("{status:?}")
            })?;
            refused += 1;
        }
    }
    ensure(refused == 1, || "nothing was refused".into())?;
    Bare::over(connect(&server, trusting(&authority, "localhost")).await?).sql("SELECT 1").await?;
    ensure(server.terminate()?.success(), || server.stderr())
}

#[tokio::test]
async fn https_serves_health() -> Outcome {
    let (dir, authority) = (tempfile::tempdir()?, Authority::new("ours")?);
    let server = serve(dir.path(), &authority, None)?;
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.pem())?;
    let port = server.http_addr().rsplit(':').next().context("no port")?.to_string();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
        .arg(&ca)
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1"), &format!("https://localhost:{port}/health")])
        .output()
        .context("running curl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure(text.contains("\"status\":\"ok\""), || format!("{text} {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_certificate_says_who_a_client_is() -> Outcome {
    let (dir, authority, clients) = (tempfile::tempdir()?, Authority::new("ours")?, Authority::new("clients")?);
    let server = serve(dir.path(), &authority, Some(&clients))?;
    let trust = || trusting(&authority, "localhost");
    let plain = Bare::over(connect(&server, trust()).await?);
    plain.clone().update("CREATE USER root PASSWORD 'battery staple'").await?;
    let mut root = plain.authorized(ROOT);
    for sql in ["CREATE USER ada", "CREATE USER \"bob.example\"", "CREATE TABLE t (a BIGINT)"] {
        root.sql(sql).await?;
    }
    // By common name, by DNS name, and by a password although there is a certificate of somebody else.
    for (name, dns, header, expected) in [
        (Some("ada"), vec!["bob.example"], None, "ada"),
        (None, vec!["bob.example", "ada"], None, "bob.example"),
        (Some("ada"), vec![], Some(ROOT), "root"),
    ] {
        let (certificate, key) = clients.issue(name, &dns)?;
        let channel = connect(&server, trust().identity(Identity::from_pem(certificate, key))).await?;
        let mut bare = Bare::over(channel);
        if let Some(header) = header {
            bare = bare.authorized(header);
        }
        let session = bare.handshake(1).await?.authorization;
        bare.sql("INSERT INTO t VALUES (1)").await?;
        // The session that a certificate opened needs it no more.
        plain.authorized(session).sql("INSERT INTO t VALUES (2)").await?;
        let history = root.sql("DESCRIBE HISTORY t").await?;
        let names: Vec<&str> = history.iter().take(2).map(|row| row[2].as_str()).collect();
        ensure(names == [expected, expected], || format!("expected {expected}, found {names:?}"))?;
    }
    // A name that is no user, and nobody at all.
    let (certificate, key) = clients.issue(Some("eve"), &[])?;
    let eve = connect(&server, trust().identity(Identity::from_pem(certificate, key))).await?;
    for mut nobody in [Bare::over(eve), plain.clone()] {
        let status = nobody.sql("SELECT 1").await.err().context("nobody was let in")?;
        ensure(status.code() == Code::Unauthenticated, || format!("{status:?}"))?;
    }
    // A certificate that somebody else signed does not get as far as that.
    let (certificate, key) = authority.issue(Some("ada"), &[])?;
    let forged = connect(&server, trust().identity(Identity::from_pem(certificate, key))).await;
    let refused = match forged {
        Err(_) => true,
        Ok(channel) => {
            Bare::over(channel).sql("SELECT 1").await.is_err_and(|status| status.code() != Code::Unauthenticated)
        }
    };
    ensure(refused, || "a forged certificate got through the handshake".into())?;
    root.sql("DROP USER ada").await?;
    Ok(())
}

/// Connects anew until the server presents a certificate for `name`.
async fn presents(server: &TestServer, authority: &Authority, name: &str) -> Outcome {
    let started = Instant::now();
    while started.elapsed() < RELOAD_DEADLINE {
        if connect(server, trusting(authority, name)).await.is_ok() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    Err(fail(format!("no certificate for `{name}` in {RELOAD_DEADLINE:?}; the log:\n{}", server.stderr())))
}

#[tokio::test]
async fn new_certificates_are_used_without_a_restart_and_broken_ones_are_not() -> Outcome {
    let (dir, authority) = (tempfile::tempdir()?, Authority::new("ours")?);
    let server = serve(dir.path(), &authority, None)?;
    presents(&server, &authority, "first.example").await?;
    let mut open = Bare::over(connect(&server, trusting(&authority, "first.example")).await?);

    // Broken: nothing changes, and the log says so.
    std::fs::write(dir.path().join("server.pem"), "no certificate")?;
    hang_up(&server)?;
    let started = Instant::now();
    while !server.stderr().contains("the old ones stay in use") {
        ensure(started.elapsed() < RELOAD_DEADLINE, || format!("no word in the log:\n{}", server.stderr()))?;
        tokio::task::yield_now().await;
    }
    presents(&server, &authority, "first.example").await?;

    // New: without a signal, after a while.
    let (chain, key) = authority.issue(None, &["second.example"])?;
    std::fs::write(dir.path().join("server.key"), key)?;
    std::fs::write(dir.path().join("server.pem"), chain)?;
    presents(&server, &authority, "second.example").await?;
    let old = connect(&server, trusting(&authority, "first.example")).await;
    ensure(old.is_err(), || "the old certificate is still in use".into())?;
    // A connection that was there before goes on.
    open.sql("SELECT 1").await?;
    Ok(())
}

fn hang_up(server: &TestServer) -> Outcome {
    let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status()?;
    ensure(sent.success(), || "`kill -HUP` failed".into())
}

#[test]
fn other_machines_are_served_with_users_and_tls_only() -> Outcome {
    let (dir, authority) = (tempfile::tempdir()?, Authority::new("ours")?);
    let (chain, secret) = authority.issue(Some("limn"), &["localhost"])?;
    let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    std::fs::write(&certificate, chain)?;
    std::fs::write(&key, secret)?;
    let data = dir.path().join("data");
    let start = |more: &[&str]| -> Outcome<String> {
        let output = limn_command()?
            .args(["serve", "--flight-addr", "0.0.0.0:0", "--http-addr", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .args(more)
            .output()?;
        ensure(output.status.code() == Some(2), || format!("{output:?}"))?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let said = start(&[])?;
    ensure(said.contains("no TLS is set up") && !data.exists(), || said.clone())?;
    let paths = [certificate.display().to_string(), key.display().to_string()];
    let tls = ["--tls-cert", &paths[0], "--tls-key", &paths[1]];
    let said = start(&tls)?;
    ensure(said.contains("no users are set up") && said.contains("hint: add one first: `limn user add"), || {
        said.clone()
    })?;
    let said = start(&["--tls-cert", &paths[0]])?;
    ensure(said.contains("expected --tls-key as well"), || said.clone())?;
    let said = start(&["--tls-cert", &paths[1], "--tls-key", &paths[0]])?;
    ensure(said.contains("k.pem") && said.contains("expected certificates as PEM"), || said.clone())
}
