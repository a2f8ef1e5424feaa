//! `?` to `$n`.
//!
//! Written with the Flight edge, which needs it; until then no statement has `?`.
