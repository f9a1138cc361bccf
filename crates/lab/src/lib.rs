//! What proves and measures the engine: comparison with the reference, benchmarks, tuning, linearity, self-test.

pub mod bench;
pub mod bundle;
pub mod cases;
pub mod compare;
pub mod report;
pub mod selftest;
pub mod special_values;
pub mod suite;
pub mod tune;
pub mod xray;
