//! Whole-engine tests: graphs built in Rust, planned, run on a device and held against the f64 reference.
//!
//! The device tests fail, and do not skip, where there is no adapter: `scripts/test` installs a software one.

mod acceptance;
mod bad_inputs;
mod bench;
mod bounds;
mod build;
mod cases;
mod check;
mod cli;
mod compare;
mod conv_definition;
mod definition;
mod device;
mod faults;
mod fusion;
mod fusion_patterns;
mod fusion_refusals;
mod golden;
mod limits;
mod models;
mod mutants;
mod not_a_number;
mod padding;
mod parity;
mod parts;
mod plan;
mod pool_definition;
mod random;
mod readme;
mod restrict;
mod scratch;
mod seeded;
mod selftest;
mod shaders;
mod shapes;
mod suite;
mod tune;
mod xray;
