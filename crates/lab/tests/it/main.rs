//! What proves is proved: the self-test finds wrong kernels, and the measures of linearity are right.

mod selftest;
mod xray;
