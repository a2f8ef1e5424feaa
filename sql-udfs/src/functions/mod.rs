//! The SQL functions that Limn adds, one file each.

pub mod predict;
