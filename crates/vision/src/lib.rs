//! Pictures and tasks: from a file to an input tensor, and from output tensors to labels, boxes and masks.

pub mod answer;
pub mod default_model;
pub mod image;
