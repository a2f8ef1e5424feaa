//! `limn demo`. The walk-through follows.

use crate::config::DemoFlags;
use crate::{Error, Result};

/// Runs the walk-through.
pub async fn run(flags: DemoFlags) -> Result<()> {
    let _ = flags;
    Err(Error::unsupported("the demo is not there yet"))
}
