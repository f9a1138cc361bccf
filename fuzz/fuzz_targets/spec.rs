#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| reluctor_fuzz::spec(data));
