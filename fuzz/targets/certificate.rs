//! Fuzzes the reader of clients' certificates.
//!
//! What must hold stands in the server's `flight/fuzzed.rs`; this file only hands it bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| limn_fuzz::keep(limn_fuzz::fuzzed::client_certificate, bytes));
