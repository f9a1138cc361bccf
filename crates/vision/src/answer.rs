//! What a network's outputs mean on the picture it was given: boxes, regions, another picture. Everything here is of one
//! item: outputs have a first dimension of 1, or none for the batch.

mod boxes;
mod canvas;
pub mod detect;
mod pairs;
mod palette;
mod regions;
mod restore;
mod rows;
mod yolo;

pub use boxes::{Detection, intersection_over_union, suppressed};
pub use canvas::{draw_boxes, draw_lines, draw_regions, sheet};
pub use palette::colour;
pub use regions::{Region, Regions};
pub use restore::restored;

use crate::image::Placement;
use reluctor::error::{Error, Result};
use reluctor::tensor::Tensor;

/// Where the network's input lies in the picture, and how large both are, in pixels: width, then height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Of the picture.
    pub picture: [u32; 2],
    /// Of the network's input.
    pub network: [u32; 2],
    /// Of the network's input: 1 is luma alone.
    pub channels: usize,
    /// The way from one to the other.
    pub placement: Placement,
}

/// One item's share of outputs whose first dimension counts the items: `[1, ...]` each.
///
/// # Errors
/// [`Error::Usage`] names an output that has no such dimension, where there are several items.
pub fn item(outputs: &[(String, Tensor)], at: usize, items: usize) -> Result<Vec<(String, Tensor)>> {
    let share = |(name, tensor): &(String, Tensor)| {
        let share = match tensor.shape().first() {
            Some(&first) if first == items && items > 1 => tensor.slice_items(at..at + 1),
            _ if items == 1 => tensor.clone(),
            _ => {
                let name = reluctor::error::escape(name);
                return Err(Error::Usage(format!(
                    "output '{name}' has no batch dimension: give one picture at a time"
                )));
            }
        };
        Ok((name.clone(), share))
    };
    outputs.iter().map(share).collect()
}
