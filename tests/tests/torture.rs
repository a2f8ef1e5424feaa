//! Eight writers at random over Flight SQL against a model in memory, left alone and with `kill -9` among them.
//!
//! `LIMN_TORTURE_SEED` says which statements, `LIMN_TORTURE_OPS` and `LIMN_TORTURE_KILLS` how many; a failure says the seed.

use limn_tests::torture::{run, run_with_kills, setting};
use limn_tests::{Context, Outcome};

/// The seed where the environment says none.
const SEED: u64 = 20_261_124;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_leave_what_the_model_has() -> Outcome {
    let (seed, operations) = (setting("LIMN_TORTURE_SEED", SEED)?, setting("LIMN_TORTURE_OPS", 1_000)?);
    run(seed, operations).await.context(format!("LIMN_TORTURE_SEED={seed}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_loses_what_was_answered_or_leaves_half_a_statement() -> Outcome {
    let (seed, kills) = (setting("LIMN_TORTURE_SEED", SEED)?, setting("LIMN_TORTURE_KILLS", 20)?);
    run_with_kills(seed, kills).await.context(format!("LIMN_TORTURE_SEED={seed}"))
}
