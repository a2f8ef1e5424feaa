//! The SQL functions that Limn adds, one file each.

pub mod arithmetic;
pub mod json;
pub mod predict;
pub mod sum;
