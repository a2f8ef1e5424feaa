//! The torture: eight writers change three tables at random over Flight SQL, and a model in memory has the last word.
//!
//! What each writer asks for next comes from a seed. The model does the same in the order in which the log has it; the
//! tables must equal it at the end, for Limn and for a reader that is not Limn. The server may be killed meanwhile.
//!
//! # Layout
//! - `op`: a statement, as SQL and as what it does to a map; `writer`: which one is next; `session`: sends it
//! - `oracle`: follows the log; `check`: compares

mod check;
mod op;
mod oracle;
mod session;
mod writer;

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::choices::Choices;
use crate::raw::Raw;
use crate::rival::Rival;
use crate::{Context, Outcome, TestServer, ensure, fail};
use op::{Row, Rows};
use oracle::{Oracle, Tally};
use session::{Asked, Reply};
use writer::{FIRST_VERSIONS, TABLES, WRITERS, Writer};

/// Answers of all writers together between two kills, at most; at least one.
const ANSWERS_BETWEEN_KILLS_MAX: u64 = 40;

/// A number that the environment says.
pub fn setting(name: &str, default: u64) -> Outcome<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| fail(format!("expected a number in {name}, found `{text}`"))),
        Err(_) => Ok(default),
    }
}

/// So many statements; then the tables are what the model is.
pub async fn run(seed: u64, operations: u64) -> Outcome {
    let server = TestServer::start()?;
    let mut oracles = tables(&server).await?;
    let mut load = Vec::new();
    for number in 0..WRITERS {
        load.push(write(Writer::new(seed, number), Raw::connect(&server).await?, operations / WRITERS, None));
    }
    for (_, asked) in joined(load).await? {
        for asked in asked {
            if let Reply::None(text) = &asked.reply {
                return Err(fail(format!("{:?} got no answer: {text}; the server:\n{}", asked.op, server.stderr())));
            }
            oracles[asked.table].asked(asked)?;
        }
    }
    let mut raw = Raw::connect(&server).await?;
    follow(&mut raw, &mut oracles).await?;
    check::all(&mut raw, &oracles, &mut Choices::new(seed)).await?;
    tell(&oracles);
    Ok(())
}

/// So many kills under load; after each the tables are what the model is, and it goes on.
pub async fn run_with_kills(seed: u64, kills: u64) -> Outcome {
    let mut server = TestServer::start()?;
    let mut oracles = tables(&server).await?;
    let mut choices = Choices::new(seed);
    let mut writers: Vec<Writer> = (0..WRITERS).map(|number| Writer::new(seed, number)).collect();
    for kill in 1..=kills {
        let answers = 1 + choices.below(ANSWERS_BETWEEN_KILLS_MAX);
        let (told, mut seen) = mpsc::channel(1024);
        let mut load = Vec::new();
        for writer in writers.drain(..) {
            load.push(write(writer, Raw::connect(&server).await?, u64::MAX, Some(told.clone())));
        }
        let load = tokio::spawn(joined(load));
        drop(told);
        for _ in 0..answers {
            seen.recv().await.context("the load ended early")?;
        }
        server.kill9()?;
        seen.close();
        for (writer, asked) in load.await?? {
            writers.push(writer);
            for asked in asked {
                oracles[asked.table].asked(asked)?;
            }
        }
        tokio::task::block_in_place(|| server.restart()).context(format!("the start after kill {kill}"))?;
        let mut raw = Raw::connect(&server).await?;
        follow(&mut raw, &mut oracles).await.context(format!("after kill {kill}"))?;
        for oracle in &oracles {
            check::equal(&mut raw, oracle).await.context(format!("after kill {kill}"))?;
        }
    }
    check::all(&mut Raw::connect(&server).await?, &oracles, &mut choices).await?;
    let tally = tell(&oracles);
    ensure(kills < 20 || (tally.landed > 0 && tally.lost > 0), || "no kill came before, or none after, a commit".into())
}

/// The tables with their first versions: what was put in, one row with each insert.
async fn tables(server: &TestServer) -> Outcome<Vec<Oracle>> {
    let mut raw = Raw::connect(server).await?;
    let mut oracles = Vec::new();
    let mut known = BTreeSet::new();
    for (name, clauses) in TABLES {
        raw.update(&format!("CREATE TABLE {name} (id BIGINT, n BIGINT, p BIGINT) {clauses}")).await?;
        let found: BTreeSet<PathBuf> = std::fs::read_dir(server.data_dir().join("tables"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Outcome<_>>()?;
        let directory = found.difference(&known).next().context("a directory of the table")?.clone();
        known = found;
        let mut versions = vec![Rows::new()];
        let mut rows = Rows::new();
        for id in 1..=FIRST_VERSIONS as i64 {
            let row = Row { n: 100 * id, p: id - 1 };
            raw.update(&format!("INSERT INTO {name} VALUES ({id}, {}, {})", row.n, row.p)).await?;
            rows.insert(id, row);
            versions.push(rows.clone());
        }
        oracles.push(Oracle::new(name, Rival::new(directory), versions));
    }
    Ok(oracles)
}

/// One writer's statements, until there are so many or one gets no answer.
async fn write(
    mut writer: Writer,
    mut raw: Raw,
    operations: u64,
    told: Option<mpsc::Sender<()>>,
) -> Outcome<(Writer, Vec<Asked>)> {
    let mut done = Vec::new();
    for _ in 0..operations {
        let (table, op) = writer.next();
        let asked = session::send(&mut raw, table, op).await?;
        if let Reply::Done(_) = asked.reply {
            writer.answered(table, &asked.op);
        }
        let ended = matches!(asked.reply, Reply::None(_));
        done.push(asked);
        if ended {
            break;
        }
        if let Some(told) = &told {
            // Nobody counts any more once the server has been killed.
            let _ = told.send(()).await;
        }
    }
    Ok((writer, done))
}

async fn joined<T: Send + 'static>(work: Vec<impl Future<Output = Outcome<T>> + Send + 'static>) -> Outcome<Vec<T>> {
    let tasks: Vec<_> = work.into_iter().map(tokio::spawn).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await??);
    }
    Ok(done)
}

async fn follow(raw: &mut Raw, oracles: &mut [Oracle]) -> Outcome {
    for oracle in oracles {
        let name = oracle.name;
        let reader = raw.clone();
        oracle.follow(|version| check::rows(reader.clone(), format!("{name} VERSION AS OF {version}"))).await?;
    }
    Ok(())
}

fn tell(oracles: &[Oracle]) -> Tally {
    let mut tally = Tally::default();
    for oracle in oracles {
        tally.add(oracle.tally());
    }
    println!("{tally:?}");
    tally
}
