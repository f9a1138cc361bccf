//! What the tests of the workspace share: graphs made in Rust, their f64 reference, the device under test, files that go away.

pub mod bounds;
pub mod build;
pub mod cases;
pub mod check;
pub mod device;
pub mod random;
pub mod scratch;
pub mod shapes;
pub mod tree;
