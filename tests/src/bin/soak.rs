//! The soak from the command line: `cargo run --bin soak -- --seconds 300 --connections 64`.
//!
//! It only reads the arguments; what happens is in `limn_tests::soak`. It fails where anything was wrong.

use std::time::Duration;

use limn_tests::soak::{self, SoakOptions};
use limn_tests::{Context, Outcome, fail};

#[tokio::main]
async fn main() -> Outcome {
    let mut options = SoakOptions {
        duration: Duration::from_secs(300),
        connections: 64,
        seed: 1,
        sample_interval: Duration::from_secs(15),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().context(format!("`{name}` has no value"))?;
        let number: u64 = value.parse().context(format!("expected a number after `{name}`, found `{value}`"))?;
        match name.as_str() {
            "--seconds" => options.duration = Duration::from_secs(number),
            "--connections" => options.connections = usize::try_from(number)?,
            "--seed" => options.seed = number,
            _ => return Err(fail(format!("expected --seconds, --connections or --seed, found `{name}`"))),
        }
    }
    println!("{} connections for {:?}, seed {}", options.connections, options.duration, options.seed);
    soak::run(&options).await
}
