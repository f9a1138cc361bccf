//! Whole-engine tests: graphs built in Rust, planned, run on a device and held against the f64 reference.
//!
//! The device tests fail, and do not skip, where there is no adapter: `scripts/test` installs a software one.

mod acceptance;
mod conv_definition;
mod definition;
mod fusion;
mod fusion_normalizations;
mod fusion_patterns;
mod fusion_refusals;
mod fusion_squares;
mod golden;
mod joins;
mod library;
mod limits;
mod long_sums;
mod models;
mod mutants;
mod not_a_number;
mod orders;
mod padding;
mod parity;
mod parts;
mod plan;
mod pool_definition;
mod readme;
mod restrict;
mod seeded;
mod shaders;
mod soak;
mod suite;
mod translation;
mod unpool;
