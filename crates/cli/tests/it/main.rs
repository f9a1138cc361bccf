//! The command line as its users meet it: what it prints, writes, refuses and survives.

mod answers;
mod bad_inputs;
mod bench;
mod casts;
mod cli;
mod compare;
mod faults;
mod fuzz;
mod interrupt;
mod items;
mod many;
mod pictures;
mod resize;
mod scarcity;
mod tune;
mod xray;
