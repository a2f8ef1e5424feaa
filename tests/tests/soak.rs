//! Twenty seconds of the soak with a fixed seed; the whole of it is `cargo run --bin soak`.

use std::time::Duration;

use limn_tests::Outcome;
use limn_tests::soak::{self, SoakOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mix_of_work_is_answered_without_errors_or_growth() -> Outcome {
    let options = SoakOptions {
        duration: Duration::from_secs(20),
        connections: 24,
        seed: 7,
        sample_interval: Duration::from_secs(5),
    };
    soak::run(&options).await
}
