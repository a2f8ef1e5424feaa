//! Placeholder.

pub mod crash_disk;
