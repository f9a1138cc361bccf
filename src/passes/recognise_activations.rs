//! Activations that exporters write as several nodes: `x sigmoid(x)`, `x clip(x + 3, 0, 6) / 6`, `x tanh(softplus(x))`,
//! `x (1 + erf(x / sqrt(2))) / 2`, and the same by tanh. A file has 1 / 6 and the like rounded to f32, and that much may change.

use super::{Rewrites, arithmetic, number};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Activate, Activation, BinaryFunction, Op, Unary, UnaryFunction};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// The cube's share in the argument of GELU by tanh (Hendrycks and Gimpel, Gaussian Error Linear Units, 2016).
const CUBE: f64 = 0.044715;

/// No activation is written in more nodes; a file may multiply thousands of times in a row.
const MOST_PARTS: usize = 12;

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    let mut index = 0;
    while index < graph.nodes.len() {
        if let Some((activation, x, mut parts)) = recognised(graph, index)
            && rewrites.allow(&graph.nodes[index].name, &graph.value(x).name)
        {
            parts.sort_unstable();
            let mut node = Node::new(&graph.nodes[index].name, Activate { activation }, vec![Some(x)], vec![]);
            node.outputs.clone_from(&graph.nodes[index].outputs);
            node.origin.clone_from(&graph.nodes[index].origin);
            graph.nodes[index] = node;
            let absorbed: Vec<Node> = parts.iter().rev().map(|&part| graph.nodes.remove(part)).collect();
            index -= parts.len();
            let names = absorbed.into_iter().rev().flat_map(|part| [vec![part.name], part.fused].concat());
            graph.nodes[index].fused = names.collect();
        }
        index += 1;
    }
}

/// The activation that a node is the last step of, what it is applied to, and the nodes before it that nobody else reads.
fn recognised(graph: &Graph, index: usize) -> Option<(Activation, ValueId, Vec<usize>)> {
    let result = graph.nodes[index].outputs[0];
    let mut formula = Formula { graph, parts: Vec::new() };
    let (mut factors, mut scale) = (Vec::new(), 1.0);
    formula.factors(index, &mut factors, &mut scale);
    let candidates = match factors[..] {
        [gate] => vec![(None, gate)],
        [a, b] => vec![(Some(a), b), (Some(b), a)],
        _ => return None,
    };
    for (x, gate) in candidates {
        let mut formula = Formula { graph, parts: formula.parts.clone() };
        if let Some((activation, x)) = formula.gated(x, gate, scale)
            && graph.value(x).ty == graph.value(result).ty
        {
            return Some((activation, x, formula.parts));
        }
    }
    None
}

/// Nodes read backwards from their last one.
struct Formula<'g> {
    graph: &'g Graph,
    /// Those read so far.
    parts: Vec<usize>,
}

impl<'g> Formula<'g> {
    /// The node that computes a value which nobody else reads.
    fn step(&mut self, value: ValueId) -> Option<&'g Node> {
        let index = self.graph.nodes.iter().position(|node| node.outputs[..] == [value])?;
        self.graph.sole_consumer(value).ok()?;
        self.parts.push(index);
        Some(&self.graph.nodes[index])
    }

    /// The values that a node multiplies, through products before it, and the product of all single numbers among them.
    fn factors(&mut self, index: usize, factors: &mut Vec<ValueId>, scale: &mut f64) {
        let node = &self.graph.nodes[index];
        let (Some(a), Some(b), Some(function)) = (node.input(0), node.input(1), arithmetic(node)) else { return };
        let operands = match (function, self.number(a), self.number(b)) {
            (BinaryFunction::Mul, None, None) => vec![a, b],
            (BinaryFunction::Mul, Some(number), None) => {
                *scale *= number;
                vec![b]
            }
            (BinaryFunction::Mul, None, Some(number)) => {
                *scale *= number;
                vec![a]
            }
            (BinaryFunction::Div, None, Some(number)) => {
                *scale /= number;
                vec![a]
            }
            _ => return,
        };
        for operand in operands {
            let product = self.graph.nodes.iter().position(|node| node.outputs[..] == [operand]);
            let product = product.filter(|&at| {
                let function = arithmetic(&self.graph.nodes[at]);
                self.parts.len() < MOST_PARTS
                    && matches!(function, Some(BinaryFunction::Mul | BinaryFunction::Div))
                    && self.graph.sole_consumer(operand).is_ok()
            });
            let before = factors.len();
            if let Some(at) = product {
                self.parts.push(at);
                self.factors(at, factors, scale);
            }
            if factors.len() == before {
                // A quotient of two tensors is one factor, and so is what is no product.
                product.and_then(|_| self.parts.pop());
                factors.push(operand);
            }
        }
    }

    /// `scale x gate(x)`, or `scale gate(x)` where there is no other factor.
    fn gated(&mut self, x: Option<ValueId>, gate: ValueId, scale: f64) -> Option<(Activation, ValueId)> {
        let step = self.step(gate)?;
        let input = step.input(0)?;
        let same = |other: ValueId| x.is_none_or(|x| x == other).then_some(other);
        let sixth = close(scale, 1.0 / 6.0);
        match (&step.op, x) {
            (Op::Activate(Activate { activation: Activation::Clip { min: 0.0, max: 6.0 } }), x) if sixth => {
                let (shifted, three) = self.with_number(input, BinaryFunction::Add)?;
                let hard_sigmoid = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
                let activation = if x.is_some() { Activation::HardSwish } else { hard_sigmoid };
                Some((activation, same(shifted).filter(|_| three == 3.0)?))
            }
            (Op::Activate(Activate { activation: Activation::HardSigmoid { alpha, beta } }), Some(_)) => {
                let is_sixth = close(f64::from(*alpha), 1.0 / 6.0) && *beta == 0.5 && close(scale, 1.0);
                Some((Activation::HardSwish, same(input).filter(|_| is_sixth)?))
            }
            (Op::Activate(Activate { activation: Activation::Sigmoid }), Some(x)) if close(scale, 1.0) => {
                if input == x {
                    return Some((Activation::Swish { alpha: 1.0 }, x));
                }
                let (scaled, alpha) = self.with_number(input, BinaryFunction::Mul)?;
                Some((Activation::Swish { alpha: alpha as f32 }, same(scaled)?))
            }
            (Op::Activate(Activate { activation: Activation::Tanh }), Some(_)) if close(scale, 1.0) => {
                let softplus = self.step(input)?;
                let is_softplus = matches!(softplus.op, Op::Activate(Activate { activation: Activation::Softplus }));
                Some((Activation::Mish, same(softplus.input(0)?).filter(|_| is_softplus)?))
            }
            (Op::Binary(_), Some(_)) if close(scale, 0.5) => {
                self.parts.pop();
                let (gate, one) = self.with_number(gate, BinaryFunction::Add)?;
                let gate = self.step(gate).filter(|_| one == 1.0)?;
                let (factors, scale) = self.product(gate.input(0)?)?;
                let [argument] = factors[..] else { return None };
                match gate.op {
                    Op::Unary(Unary { function: UnaryFunction::Erf }) if close(scale, FRAC_1_SQRT_2) => {
                        Some((Activation::Gelu, same(argument)?))
                    }
                    Op::Activate(Activate { activation: Activation::Tanh }) if close(scale, FRAC_2_PI.sqrt()) => {
                        Some((Activation::GeluTanh, same(self.with_cube(argument)?)?))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// What a product that nobody else reads multiplies, and the product of the single numbers in it.
    fn product(&mut self, value: ValueId) -> Option<(Vec<ValueId>, f64)> {
        let at = self.graph.nodes.iter().position(|node| node.outputs[..] == [value])?;
        self.graph.sole_consumer(value).ok()?;
        let (mut factors, mut scale) = (Vec::new(), 1.0);
        self.factors(at, &mut factors, &mut scale);
        self.parts.push(at);
        Some((factors, scale))
    }

    /// `x` of `x + 0.044715 x^3`.
    fn with_cube(&mut self, sum: ValueId) -> Option<ValueId> {
        let node = self.step(sum).filter(|node| arithmetic(node) == Some(BinaryFunction::Add))?;
        let [a, b] = [node.input(0)?, node.input(1)?];
        [(a, b), (b, a)].into_iter().find_map(|(x, cube)| {
            let mut formula = Formula { graph: self.graph, parts: self.parts.clone() };
            let (factors, scale) = formula.product(cube)?;
            let is_cube = match factors[..] {
                [one, two, three] => [one, two, three] == [x; 3],
                [power] => {
                    let node = formula.step(power).filter(|node| arithmetic(node) == Some(BinaryFunction::Pow))?;
                    node.input(0)? == x && formula.number(node.input(1)?)? == 3.0
                }
                _ => false,
            };
            (is_cube && close(scale, CUBE)).then(|| {
                self.parts = formula.parts;
                x
            })
        })
    }

    /// The other operand of an operation with a single number.
    fn with_number(&mut self, value: ValueId, function: BinaryFunction) -> Option<(ValueId, f64)> {
        let node = self.step(value).filter(|node| arithmetic(node) == Some(function))?;
        let [a, b] = [node.input(0)?, node.input(1)?];
        self.number(b).map(|number| (a, number)).or_else(|| Some((b, self.number(a)?)))
    }

    fn number(&self, value: ValueId) -> Option<f64> {
        number(self.graph, value).map(f64::from)
    }
}

/// Equal but for the rounding of a constant to f32.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs()
}
