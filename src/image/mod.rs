//! Pictures: decoding, the named pre-processing that turns one into a network's input, and a view for the terminal.

mod decode;
mod picture;
mod preset;
mod resample;
mod terminal;

pub use decode::{from_bytes, open};
pub use picture::Picture;
pub use preset::{Channels, PRESETS, Preset, Resize};
pub use terminal::half_blocks;
