//! The dialect. The rest follows.

pub mod placeholder;
