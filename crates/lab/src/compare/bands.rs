//! Cuts a node into bands, each of which can be judged by itself: the reference and its bound are in f64, several times as
//! large as what the device holds, and never needed whole.

use reluctor::bound::Summation;
use reluctor::graph::Node;
use reluctor::ops::{Cut, Op};
use reluctor::tensor::{Kind, TensorType};
use std::ops::Range;

/// Elements that a band may read and make: below this, cutting saves nothing worth having.
const SMALL: usize = 1 << 16;

/// A layer is cut until a band reads and makes no more than this part of what the layer does.
const PART: usize = 8;

/// A range of indices along an axis of a node's output, by an operator that makes no more than that.
#[derive(Debug)]
pub struct Band {
    /// The output's axis; nothing where the band is the whole.
    pub taken: Option<(usize, Range<usize>)>,
    /// What computes it.
    pub op: Op,
    /// What that reads of each input.
    pub cuts: Vec<Cut>,
}

impl Band {
    /// The node as one band.
    pub fn whole(node: &Node) -> Self {
        Band { taken: None, op: node.op.clone(), cuts: vec![Cut::Whole; node.inputs.len()] }
    }

    /// Where it begins in an output of so many dimensions.
    pub fn start(&self, rank: usize) -> Vec<usize> {
        let mut start = vec![0; rank];
        if let Some((axis, range)) = &self.taken {
            start[*axis] = range.start;
        }
        start
    }

    fn elements(&self, inputs: &[Option<&TensorType>]) -> usize {
        let read = |(input, cut): (&Option<&TensorType>, &Cut)| {
            input.map_or(0, |input| cut.shape(&input.shape).iter().product::<usize>())
        };
        inputs.iter().zip(&self.cuts).map(read).sum()
    }
}

/// Bands that make up a node's output, in order, along the axis that takes the least memory; one where the node is small or
/// can only be had whole.
pub fn bands(node: &Node, summation: Summation, inputs: &[Option<&TensorType>], output: &TensorType) -> Vec<Band> {
    let elements = |ty: &TensorType| ty.shape.iter().product::<usize>();
    let layer = inputs.iter().flatten().map(|ty| elements(ty)).sum::<usize>() + elements(output);
    let wanted = (layer / PART).max(SMALL);
    if output.kind != Kind::Real || layer <= wanted {
        return vec![Band::whole(node)];
    }
    let mut best = (layer, vec![Band::whole(node)]);
    for axis in 0..output.shape.len() {
        let size = output.shape[axis];
        let mut pieces = 1;
        while best.0 > wanted && pieces < size {
            pieces = (pieces * 2).min(size);
            let Some(step) = node.op.step_of_bands(summation, axis, size.div_ceil(pieces)) else { break };
            let Some(bands) = cut(node, inputs, axis, size, step) else { break };
            let most = bands.iter().map(|band| band.elements(inputs)).max().unwrap_or(0);
            let most = most + elements(output).div_ceil(size) * size.div_ceil(pieces);
            if most < best.0 {
                best = (most, bands);
            }
        }
    }
    best.1
}

/// Bands of so many indices along an axis; none where the operator cannot be had so.
fn cut(node: &Node, inputs: &[Option<&TensorType>], axis: usize, size: usize, step: usize) -> Option<Vec<Band>> {
    let band = |start: usize| {
        let range = start..(start + step).min(size);
        let part = node.op.restrict(inputs, axis, &range)?;
        Some(Band { taken: Some((axis, range)), op: part.op, cuts: part.cuts })
    };
    (0..size).step_by(step).map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::graph::ValueId;
    use reluctor::ops::window::{Pads, Window};
    use reluctor::ops::{Conv, Epilogue};

    fn conv(kernel: usize, groups: usize) -> Op {
        let pad = kernel / 2;
        let pads = Pads { top: pad, left: pad, bottom: pad, right: pad };
        let window = Window { kernel: [kernel; 2], pads, ..Window::pointwise() };
        Conv { window, groups, epilogue: Epilogue::default() }.into()
    }

    /// The most that a band reads and makes, as a part of what the layer does.
    fn largest_part(op: impl Into<Op>, inputs: &[&[usize]]) -> f64 {
        let op: Op = op.into();
        let types: Vec<TensorType> = inputs.iter().map(|shape| TensorType::real(shape.to_vec())).collect();
        let types: Vec<Option<&TensorType>> = types.iter().map(Some).collect();
        let output = op.infer(&types).map_err(|problem| problem.at("node")).unwrap().remove(0);
        let node = Node::new("node", op, (0..inputs.len()).map(|id| Some(ValueId(id))).collect(), vec![ValueId(9)]);
        let elements = |shape: &[usize]| shape.iter().product::<usize>() as f64;
        let layer = inputs.iter().map(|shape| elements(shape)).sum::<f64>() + elements(&output.shape);
        let bands = bands(&node, Summation::Plain, &types, &output);
        let made = |band: &Band| match &band.taken {
            Some((axis, range)) => elements(&output.shape) / output.shape[*axis] as f64 * range.len() as f64,
            None => elements(&output.shape),
        };
        bands.iter().map(|band| band.elements(&types) as f64 + made(band)).fold(0.0, f64::max) / layer
    }

    #[test]
    fn large_layers_are_judged_in_bands_of_an_eighth_or_a_little_more() {
        assert!(largest_part(conv(3, 1), &[&[1, 64, 224, 224], &[64, 64, 3, 3]]) < 0.13);
        assert!(largest_part(conv(3, 144), &[&[1, 144, 112, 112], &[144, 1, 3, 3]]) < 0.13);
        // Filters that outweigh the image: neither rows nor channels of the output alone spare both.
        assert!(largest_part(conv(3, 1), &[&[1, 512, 14, 14], &[512, 512, 3, 3]]) < 0.2);
    }

    #[test]
    fn small_layers_are_judged_whole() {
        assert_eq!(largest_part(conv(1, 1), &[&[1, 8, 16, 16], &[8, 8, 1, 1]]), 1.0);
    }
}
