//! Two convolutions with nothing between them are one, with a larger kernel; and an activation that is proved never to bend
//! what it is given is nothing. Only proven cases, and only where the one convolution costs less.
//!
//! Unlike every other pass this one rounds anew: the merged filters are products of the old ones, formed in f64 and rounded
//! once. It therefore runs only where it is asked for.

use super::{Change, Rewrites, fuse_pairs};
use crate::analysis::interval::{Interval, intervals, is_always_identity};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::epilogue::slot;
use crate::ops::window::{Pads, Window};
use crate::ops::{Activation, ChannelAffine, Conv, Op};
use crate::tensor::{Tensor, TensorType};
use ndarray::{Array4, ArrayD, Ix4};
use std::collections::HashMap;

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    remove_always_on(graph, rewrites);
    fuse_pairs(graph, rewrites, |graph, first, second| {
        let (Op::Conv(one), Op::Conv(other)) = (&first.op, &second.op) else { return None };
        (second.input(slot::INPUT) == Some(first.outputs[0])).then(|| {
            let merged = merge(graph, (first, one), (second, other))?;
            Ok(Box::new(move |graph: &mut Graph, node: &mut Node| merged.put(graph, node)) as Change)
        })
    });
}

/// Readers of an activation that never bends read what it reads.
fn remove_always_on(graph: &mut Graph, rewrites: &mut Rewrites) {
    let known = intervals(graph, Interval::ALL);
    let mut stands_for: HashMap<ValueId, ValueId> = HashMap::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        for slot in node.inputs.iter_mut().flatten() {
            *slot = stands_for.get(slot).copied().unwrap_or(*slot);
        }
        let output = node.outputs[0];
        match node.input(0) {
            Some(input)
                if !graph.outputs.contains(&output)
                    && is_always_identity(graph, &node, &known)
                    && rewrites.allow(&node.name, &graph.value(input).name) =>
            {
                stands_for.insert(output, input);
            }
            _ => graph.nodes.push(node),
        }
    }
}

/// The one convolution that two are.
pub struct Merged {
    op: Conv,
    filters: Array4<f32>,
    bias: Vec<f32>,
    /// The second convolution, whose other inputs stay.
    second: Node,
    /// Arithmetic of the two, and of the one.
    pub flops: [u64; 2],
}

/// What two convolutions, the second of which reads the first, are as one; or why they stay two.
pub fn merge(graph: &Graph, (first, one): (&Node, &Conv), (second, other): (&Node, &Conv)) -> Result<Merged, String> {
    let said = |reason: &str| Err(format!("not collapsed: {reason}"));
    let Conv { window: w1, groups: 1, epilogue } = one else { return said("the first one has groups") };
    let Conv { window: w2, groups: 1, .. } = other else { return said("the second one has groups") };
    if epilogue.activation != Activation::Identity || epilogue.pool.is_some() || first.input(slot::RESIDUAL).is_some() {
        return said("something comes between them");
    }
    if w1.dilation != [1, 1] || w2.dilation != [1, 1] {
        return said("one of them is dilated");
    }
    let [Some(v), Some(w)] = [first, second].map(|node| filters(graph, node)) else {
        return said("filters are computed while the network runs");
    };
    let Some(ChannelAffine { factor, offset }) = per_channel(graph, first, one, v.shape()[0]) else {
        return said("statistics are computed while the network runs");
    };
    // At the border the second one pads with zeros what the first one made, which is not what it makes of zeros.
    let sees_pixels = w1.kernel == [1, 1] && w1.pads == Pads::default() && offset.iter().all(|&x| x == 0.0);
    if w2.pads != Pads::default() && !(sees_pixels && w1.stride == [1, 1]) {
        return said("the second one pads what the first one makes");
    }
    let window = Window {
        kernel: [0, 1].map(|axis| w1.kernel[axis] + (w2.kernel[axis] - 1) * w1.stride[axis]),
        stride: [0, 1].map(|axis| w1.stride[axis] * w2.stride[axis]),
        dilation: [1, 1],
        pads: if w2.pads == Pads::default() { w1.pads } else { w2.pads },
    };
    let op = Conv { window, groups: 1, epilogue: other.epilogue.clone() };
    let (merged, bias) = product(&v, &w, w1.stride, window.kernel, &factor, &offset);
    let flops = [flops(graph, first) + flops(graph, second), flops_of(graph, first, second, &op, merged.shape())];
    if flops[1] >= flops[0] {
        return Err(format!("not collapsed: one would cost {} flops, the two cost {}", flops[1], flops[0]));
    }
    let own = second.input(slot::BIAS).map(|_| graph.constant_input(second, slot::BIAS)?.as_real().ok());
    let bias = match own {
        None => bias,
        Some(Some(own)) => bias.iter().zip(own).map(|(bias, own)| bias + f64::from(*own)).collect(),
        Some(None) => return said("a bias is computed while the network runs"),
    };
    let bias = bias.into_iter().map(|x| x as f32).collect();
    Ok(Merged { op, filters: merged.mapv(|x| x as f32), bias, second: second.clone(), flops })
}

impl Merged {
    /// Makes a node of it that reads what the first convolution read.
    fn put(self, graph: &mut Graph, node: &mut Node) {
        let input = node.input(slot::INPUT);
        node.op = self.op.into();
        node.inputs = self.second.inputs;
        node.inputs[slot::INPUT] = input;
        let name = &self.second.name;
        let filters = graph.add_constant(format!("{name}.collapsed filters"), Tensor::Real(self.filters.into_dyn()));
        let bias = ndarray::Array1::from(self.bias).into_dyn();
        let bias = graph.add_constant(format!("{name}.collapsed bias"), Tensor::Real(bias));
        node.set_input(slot::WEIGHT, filters);
        node.set_input(slot::BIAS, bias);
    }
}

fn filters(graph: &Graph, node: &Node) -> Option<Array4<f64>> {
    let constant: &ArrayD<f32> = graph.constant_input(node, slot::WEIGHT)?.as_real().ok()?;
    constant.mapv(f64::from).into_dimensionality::<Ix4>().ok()
}

/// What a convolution's bias and batch normalization do to each sum.
fn per_channel(graph: &Graph, node: &Node, conv: &Conv, channels: usize) -> Option<ChannelAffine> {
    let all_known = node.inputs.iter().skip(1).flatten().all(|&id| graph.value(id).constant.is_some());
    let wide = |id: &Option<ValueId>| id.and_then(|id| graph.value(id).constant.as_ref().map(|c| c.cast::<f64>()));
    let inputs: Vec<Option<Tensor<f64>>> = node.inputs.iter().map(wide).collect();
    let inputs: Vec<Option<&Tensor<f64>>> = inputs.iter().map(Option::as_ref).collect();
    all_known.then(|| conv.epilogue.per_channel(&inputs, channels).ok()).flatten()
}

/// `filters[o, c, y, x] = sum over m, ky, kx of w[o, m, ky, kx] factor[m] v[m, c, y - ky stride, x - kx stride]`, and the bias
/// that the first one's offsets become.
fn product(
    v: &Array4<f64>,
    w: &Array4<f64>,
    stride: [usize; 2],
    kernel: [usize; 2],
    factor: &[f64],
    offset: &[f64],
) -> (Array4<f64>, Vec<f64>) {
    let (_, in_c, v_h, v_w) = v.dim();
    let out_c = w.dim().0;
    let mut filters = Array4::zeros((out_c, in_c, kernel[0], kernel[1]));
    let mut bias = vec![0.0; out_c];
    for ((o, m, ky, kx), &weight) in w.indexed_iter() {
        bias[o] += weight * offset[m];
        for c in 0..in_c {
            for (y, x) in (0..v_h).flat_map(|y| (0..v_w).map(move |x| (y, x))) {
                filters[[o, c, y + ky * stride[0], x + kx * stride[1]]] += weight * factor[m] * v[[m, c, y, x]];
            }
        }
    }
    (filters, bias)
}

fn flops(graph: &Graph, node: &Node) -> u64 {
    let outputs: Vec<TensorType> = node.outputs.iter().map(|&id| graph.value(id).ty.clone()).collect();
    node.op.flops(&graph.input_types(node), &outputs)
}

fn flops_of(graph: &Graph, first: &Node, second: &Node, op: &Conv, filters: &[usize]) -> u64 {
    let image = first.input(slot::INPUT).map(|id| &graph.value(id).ty);
    let filters = TensorType::real(filters.to_vec());
    let outputs = [graph.value(second.outputs[0]).ty.clone()];
    Op::from(op.clone()).flops(&[image, Some(&filters)], &outputs)
}
