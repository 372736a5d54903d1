#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| onceward::fuzzing::idempotency_key(bytes));
