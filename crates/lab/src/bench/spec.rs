//! A convolution in a line: `1x64x56x56,64x3x3,s2,p1,act=relu,pool=max2s2,residual`.

use super::growth::Axis;
use reluctor::budget::Budget;
use reluctor::error::{Error, Result};
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::ops::activation::ACTIVATIONS;
use reluctor::ops::window::{Pads, Window};
use reluctor::ops::{Activate, Activation, Binary, BinaryFunction, Conv, Epilogue, Op, Pool, PoolKind};
use reluctor::random::Random;
use reluctor::tensor::{Tensor, TensorType, checked_len};
use std::collections::HashSet;
use std::str::FromStr;

/// Input NxCxHxW, filters KxRxS, then options: `s` stride, `p` padding, `d` dilation, `g` groups, `act=`, `pool=`,
/// `residual`.
#[derive(Debug, Clone)]
pub struct ConvSpec {
    text: String,
    input: [usize; 4],
    out_c: usize,
    window: Window,
    groups: usize,
    residual: bool,
    activation: Option<Activation>,
    pool: Option<Pool>,
}

impl FromStr for ConvSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::Usage(format!("'{text}': {what}; see `reluctor bench --help`"));
        let mut fields = text.split(',');
        let input = sizes(fields.next().unwrap_or_default());
        let filters = sizes(fields.next().unwrap_or_default());
        let (Some(&[n, c, h, w]), Some(&[out_c, k_h, k_w])) = (input.as_deref(), filters.as_deref()) else {
            return Err(wrong("expected NxCxHxW,KxRxS"));
        };
        let window = Window { kernel: [k_h, k_w], ..Window::pointwise() };
        let text = text.to_string();
        let input = [n, c, h, w];
        let mut spec =
            ConvSpec { text, input, out_c, window, groups: 1, residual: false, activation: None, pool: None };
        let mut seen = HashSet::new();
        for field in fields {
            let option = field.split('=').next().unwrap_or(field).trim_end_matches(|c: char| c.is_ascii_digit());
            if !seen.insert(option) {
                return Err(wrong(&format!("'{option}' is given twice")));
            }
            spec.option(field).ok_or_else(|| wrong(&format!("'{field}' is no option")))?;
        }
        Ok(spec)
    }
}

/// `1x64x56x56`, none of them 0.
fn sizes(text: &str) -> Option<Vec<usize>> {
    text.split('x').map(|size| size.parse().ok().filter(|size| (1..1 << 31).contains(size))).collect()
}

impl ConvSpec {
    fn option(&mut self, field: &str) -> Option<()> {
        if field == "residual" {
            self.residual = true;
        } else if let Some(name) = field.strip_prefix("act=") {
            self.activation = Some(*ACTIVATIONS.iter().find(|known| known.name() == name)?);
        } else if let Some(pool) = field.strip_prefix("pool=") {
            self.pool = Some(pool_of(pool)?);
        } else {
            let (letter, number) = field.split_at_checked(1)?;
            let number: usize = number.parse().ok().filter(|&number| number < 1 << 31)?;
            match letter {
                "s" if number > 0 => self.window.stride = [number; 2],
                "p" => self.window.pads = Pads { top: number, left: number, bottom: number, right: number },
                "d" if number > 0 => self.window.dilation = [number; 2],
                "g" if number > 0 => self.groups = number,
                _ => return None,
            }
        }
        Some(())
    }

    /// The same with another batch, image size or number of channels.
    pub fn with(&self, axis: Axis, size: usize) -> Self {
        let mut spec = self.clone();
        match axis {
            Axis::Batch => spec.input[0] = size,
            Axis::Size => spec.input[2..].fill(size),
            Axis::Channels => {
                spec.groups = if self.groups == self.input[1] { size } else { self.groups };
                (spec.input[1], spec.out_c) = (size, size);
            }
        }
        spec.text = format!("{} {axis}={size}", self.text);
        spec
    }

    /// The convolution with bias, and what follows it, as separate nodes; weights and bias are random.
    ///
    /// # Errors
    /// [`Error::Usage`] where the sizes do not fit each other, [`Error::Budget`] where the machine has too little memory.
    pub fn graph(&self) -> Result<Graph> {
        self.graph_within(&Budget::default())
    }

    /// The same within a budget, which is kept before anything is allocated.
    ///
    /// # Errors
    /// As [`ConvSpec::graph`].
    pub fn graph_within(&self, budget: &Budget) -> Result<Graph> {
        self.built(budget).map_err(|error| match error {
            Error::Invalid { culprit, reason } => Error::Usage(format!("'{}': {culprit}: {reason}", self.text)),
            other => other,
        })
    }

    fn built(&self, budget: &Budget) -> Result<Graph> {
        let mut graph = Graph { name: self.text.clone(), ..Graph::default() };
        let mut random = Random::new(1);
        let mut constant = |graph: &mut Graph, name: &str, shape: &[usize], scale: f32| {
            budget.tensor(name, &TensorType::real(shape))?;
            let data = (0..checked_len(shape)?).map(|_| random.real(&(-scale..scale))).collect();
            Ok::<_, Error>(graph.add_constant(name, Tensor::real(shape, data)?))
        };
        let image = graph.add_value("image", TensorType::real(self.input), None);
        graph.inputs.push(image);
        let [k_h, k_w] = self.window.kernel;
        let filters = [self.out_c, self.input[1] / self.groups, k_h, k_w];
        // Such weights keep the output's variance near the input's (He et al., 2015).
        let scale = (6.0 / (filters[1] * k_h * k_w).max(1) as f32).sqrt();
        let weight = constant(&mut graph, "weight", &filters, scale)?;
        let bias = constant(&mut graph, "bias", &[self.out_c], 1.0)?;
        let conv = Conv { window: self.window, groups: self.groups, epilogue: Epilogue::default() };
        let mut value = add(&mut graph, "conv", conv, &[image, weight, bias])?;
        if self.residual {
            let ty = graph.value(value).ty.clone();
            let residual = graph.add_value("residual", ty, None);
            graph.inputs.push(residual);
            let sum = Binary { function: BinaryFunction::Add, activation: Activation::Identity };
            value = add(&mut graph, "add", sum, &[value, residual])?;
        }
        match self.activation {
            Some(Activation::PRelu) => {
                let slope = constant(&mut graph, "slope", &[self.out_c, 1, 1], 0.5)?;
                let prelu = Binary::plain(BinaryFunction::PRelu);
                value = add(&mut graph, "prelu", prelu, &[value, slope])?;
            }
            Some(activation) => value = add(&mut graph, activation.name(), Activate { activation }, &[value])?,
            None => {}
        }
        if let Some(pool) = &self.pool {
            value = add(&mut graph, "pool", pool.clone(), &[value])?;
        }
        graph.outputs.push(value);
        graph.validate()?;
        budget.graph(&graph)?;
        budget.run_on_cpu(&graph)?;
        Ok(graph)
    }
}

/// `max2s2`, `average3s2p1`
fn pool_of(text: &str) -> Option<Pool> {
    let (kind, rest) = match (text.strip_prefix("max"), text.strip_prefix("average")) {
        (Some(rest), _) => (PoolKind::Max, rest),
        (_, Some(rest)) => (PoolKind::Average { count_include_pad: false }, rest),
        _ => return None,
    };
    let (rest, pad) = rest.split_once('p').map_or(Some((rest, 0)), |(rest, pad)| Some((rest, pad.parse().ok()?)))?;
    let (kernel, stride) = rest.split_once('s').unwrap_or((rest, "1"));
    let [kernel, stride]: [usize; 2] = [kernel.parse().ok()?, stride.parse().ok()?];
    let valid = [kernel, stride].iter().all(|size| (1..1 << 16).contains(size)) && pad < kernel;
    let pads = Pads { top: pad, left: pad, bottom: pad, right: pad };
    let window = Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1, 1], pads };
    valid.then_some(Pool { kind, window, ceil: false })
}

fn add(graph: &mut Graph, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
    let op = op.into();
    let inputs: Vec<Option<ValueId>> = inputs.iter().map(|&id| Some(id)).collect();
    let node = Node::new(name, op, inputs, Vec::new());
    let ty = node.op.infer(&graph.input_types(&node)).map_err(|problem| problem.at(name))?.remove(0);
    let output = graph.add_value(name, ty, None);
    graph.nodes.push(Node { outputs: vec![output], ..node });
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_chain_of_nodes() {
        let spec: ConvSpec = "1x4x8x8,8x3x3,s1,p1,act=relu,pool=max2s2,residual".parse().unwrap();
        let graph = spec.graph().unwrap();
        let ops: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(ops, ["Conv", "Binary", "Activate", "Pool"]);
        assert_eq!(graph.value(graph.outputs[0]).ty.shape, [1, 8, 4, 4]);
    }

    #[test]
    fn prelu_has_a_slope_for_each_channel() {
        let graph = "1x4x8x8,6x3x3,act=prelu".parse::<ConvSpec>().unwrap().graph().unwrap();
        assert_eq!(graph.constant_input(&graph.nodes[1], 1).unwrap().shape(), [6, 1, 1]);
    }

    #[test]
    fn a_spec_grows_along_an_axis() {
        let depthwise: ConvSpec = "1x4x8x8,4x3x3,p1,g4".parse().unwrap();
        let shape = |axis, size| {
            let graph = depthwise.with(axis, size).graph().unwrap();
            graph.value(graph.outputs[0]).ty.shape.clone()
        };
        assert_eq!(shape(Axis::Batch, 3), [3, 4, 8, 8]);
        assert_eq!(shape(Axis::Size, 5), [1, 4, 5, 5]);
        assert_eq!(shape(Axis::Channels, 6), [1, 6, 8, 8]);
    }

    #[test]
    fn what_is_no_spec_is_a_usage_error() {
        for text in [
            "",
            "1x4x8,8x3x3",
            "1x4x8x8",
            "1x4x8x8,8x3x3,q1",
            "1x4x8x8,8x3x3,s0",
            "1x4x8x8,8x3x3,act=step",
            "1x4x8x8,8x3x3,p1,p2",
            "é",
        ] {
            assert!(matches!(text.parse::<ConvSpec>(), Err(Error::Usage(_))), "{text}");
        }
        let large = "1x4x2x2,8x3x3".parse::<ConvSpec>().unwrap().graph();
        assert!(matches!(large, Err(Error::Usage(_))), "{large:?}");
    }
}
