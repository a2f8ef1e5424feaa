//! Fuzzes the grammar of `TRAIN MODEL`.
//!
//! What must hold stands in the server's `engine/fuzzed.rs`; this file only hands it bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| limn_fuzz::keep(limn_fuzz::statements::train, bytes));
