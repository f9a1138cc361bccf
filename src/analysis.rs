//! What is known of a graph before it runs: intervals that its values lie in, and the pieces of its activations.

pub mod interval;
pub mod nonlinearity;
