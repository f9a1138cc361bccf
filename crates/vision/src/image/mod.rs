//! Pictures: decoding, the named pre-processing that turns one into a network's input, and a view for the terminal.

mod decode;
mod geometry;
mod picture;
mod preset;
mod resample;
mod terminal;

pub use decode::{from_bytes, open};
pub use geometry::{Placement, Resize};
pub use picture::Picture;
pub use preset::{Channels, Layout, PRESETS, Preset};
pub use resample::Filter;
pub use terminal::half_blocks;
