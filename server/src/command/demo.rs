//! `limn demo`: a walk from a CSV file to a prediction, over the wire, on data made here; then it serves on.
//!
//! It lives in a schema and a model of its own, which a second walk starts over; nothing else in the data directory is
//! touched. Every step is a statement that the reader can type.

use std::path::Path;

use limn_client::Client;

use super::connection::{local_options, own};
use super::generate::{GeneratorOptions, energy_file};
use super::serve::{Server, stop_signal};
use super::sql::print_rows;
use crate::config::DemoFlags;
use crate::{Error, Result, telemetry};

/// Days of half-hourly data that the demo makes.
const DAYS: u32 = 365;

/// What is said, and what is run.
const STEPS: &[(&str, &[&str])] = &[
    (
        "Load a CSV file into a Delta table: the first nine months make version 0 …",
        &["CREATE TABLE demo.demand AS SELECT * FROM read_csv('{csv}') WHERE time < '2012-10-01T00:00:00Z'"],
    ),
    (
        "… and the rest makes version 1.",
        &["INSERT INTO demo.demand SELECT * FROM read_csv('{csv}') WHERE time >= '2012-10-01T00:00:00Z'"],
    ),
    (
        "Time travel: both versions stay readable.",
        &[
            "SELECT (SELECT count(*) FROM demo.demand VERSION AS OF 0) AS rows_before, \
             (SELECT count(*) FROM demo.demand) AS rows_now",
            "DESCRIBE HISTORY demo.demand",
        ],
    ),
    (
        "Features in SQL, kept as a view: the hour, the weekend, and the demand of a week before.",
        &["CREATE VIEW demo.features AS SELECT d.time, d.temperature_c, \
             d.temperature_c * d.temperature_c AS temperature_squared, date_part('hour', d.local_time) AS hour, \
             date_part('dow', d.local_time) IN (0, 6) AS weekend, d.holiday, w.demand_mwh AS demand_last_week, \
             d.demand_mwh FROM demo.demand VERSION AS OF 1 AS d \
             JOIN demo.demand VERSION AS OF 1 AS w ON w.time = d.time - INTERVAL '7 days'"],
    ),
    (
        "Train on exactly that version; the last fifth of the year is held out.",
        &[
            "TRAIN MODEL demo_demand USING decision_tree (max_depth = 8) TARGET demand_mwh SPLIT BY TIME time 0.2 SEED 42 \
           EXPERIMENT demo ALIAS champion AS SELECT * FROM demo.features",
        ],
    ),
    (
        "Predict by the alias, features by name.",
        &["SELECT time, round(demand_mwh, 1) AS actual, round(PREDICT('demo_demand@champion'), 1) AS predicted \
           FROM demo.features ORDER BY time DESC LIMIT 5"],
    ),
    (
        "And the whole story is in tables.",
        &[
            "SELECT r.name, e.name AS experiment, r.status, r.algorithm, r.seed FROM system.runs r \
             JOIN system.experiments e ON e.experiment_id = r.experiment_id ORDER BY r.started_at DESC LIMIT 1",
            "SELECT table_schema, table_name, version FROM system.inputs ORDER BY seq DESC LIMIT 1",
            "SHOW MODELS",
        ],
    ),
];

/// Runs the walk-through.
pub async fn run(flags: DemoFlags) -> Result<()> {
    let config = flags.server.resolve()?;
    telemetry::start_logging("warn");
    let csv = std::env::temp_dir().join(format!("limn-demo-{}.csv", std::process::id()));
    let data_dir = config.data_dir.clone();
    let server = Server::start(config).await?;
    let address = server.flight_addr();
    let options = local_options(&server.local_addr().to_string(), &data_dir)?;
    let told = match Client::connect_with(&options).await {
        Ok(client) => tell(&client, &csv).await,
        Err(error) => Err(own(error)),
    };
    // The file was only the way in; the table has its rows.
    let removed = std::fs::remove_file(&csv);
    if let Err(error) = told {
        server.stop().await?;
        return Err(error);
    }
    if let Err(error) = removed {
        tracing::warn!(%error, "cannot remove `{}`", csv.display());
    }
    println!("\nConnect with any Flight SQL client:");
    println!("  shell   limn sql --url grpc://{address}");
    println!("  Python  adbc_driver_flightsql.dbapi.connect(\"grpc://{address}\", autocommit=True)");
    println!("  JDBC    jdbc:arrow-flight-sql://{address}/?useEncryption=false");
    if !flags.exit {
        println!("\nServing until it is stopped (Ctrl-C).");
        stop_signal().await;
    }
    server.stop().await
}

async fn tell(client: &Client, csv: &Path) -> Result<()> {
    let options = GeneratorOptions { days: DAYS, ..GeneratorOptions::default() };
    let rows = energy_file(&options, csv)?;
    println!("Made {rows} half-hours of demand, weather and holidays of one site: `{}`", csv.display());
    for quiet in ["DROP SCHEMA IF EXISTS demo CASCADE", "CREATE SCHEMA demo", "DROP MODEL IF EXISTS demo_demand"] {
        client.execute(quiet).await.map_err(said)?;
    }
    for (number, (title, statements)) in STEPS.iter().enumerate() {
        println!("\n{}. {title}", number + 1);
        for statement in *statements {
            step(client, &statement.replace("{csv}", &csv.display().to_string().replace('\'', "''"))).await?;
        }
    }
    Ok(())
}

async fn step(client: &Client, sql: &str) -> Result<()> {
    println!("\nlimn> {sql};");
    let rows = client.query(sql).await.map_err(said)?;
    print_rows(rows).await
}

/// An error of the client in this crate's words.
fn said(error: limn_client::Error) -> Error {
    let own = Error::internal(format!("the demo failed: {}", error.message()));
    match error.hint() {
        Some(hint) => own.with_hint(hint),
        None => own,
    }
}
