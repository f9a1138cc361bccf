//! Reports as files: what is not JSON.

pub mod chart;
pub mod page;
mod table;

pub use table::{Format, Table};
