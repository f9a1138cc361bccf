//! Reports as files: what is not JSON.

mod table;

pub use table::{Format, Table};
