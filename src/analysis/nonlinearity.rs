//! Functions of one element as the pieces they consist of: where each bends, and what it is between its knees.

use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Activate, Activation, Binary, BinaryFunction, Op, Unary, UnaryFunction};

/// What a function is between two of its knees.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Kind {
    /// `slope x + offset`; flat where the slope is 0.
    Line { slope: f64, offset: f64 },
    /// Nothing that is affine.
    Curve,
}

/// A function of one number in pieces: one more than knees, which ascend.
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    /// Where one piece ends and the next begins.
    pub knees: Vec<f64>,
    /// What each piece is.
    pub kinds: Vec<Kind>,
}

const IDENTITY: Kind = Kind::Line { slope: 1.0, offset: 0.0 };

const fn flat(at: f64) -> Kind {
    Kind::Line { slope: 0.0, offset: at }
}

impl Pieces {
    fn new(knees: &[f64], kinds: &[Kind]) -> Self {
        Pieces { knees: knees.to_vec(), kinds: kinds.to_vec() }
    }

    /// Of an activation; `slope` is the channel's, and only PRelu reads it.
    pub fn of(activation: &Activation, slope: f64) -> Self {
        use Activation::*;
        let leaky = |slope| Pieces::new(&[0.0], &[Kind::Line { slope, offset: 0.0 }, IDENTITY]);
        let bent = |positive| Pieces::new(&[0.0], &[Kind::Curve, positive]);
        match *activation {
            Identity => Pieces::new(&[], &[IDENTITY]),
            Relu => leaky(0.0),
            LeakyRelu { alpha } => leaky(alpha.into()),
            PRelu => leaky(slope),
            Elu { .. } | Celu { .. } => bent(IDENTITY),
            Selu { gamma, .. } => bent(Kind::Line { slope: gamma.into(), offset: 0.0 }),
            Clip { min, max } => clipped(min, max),
            ThresholdedRelu { alpha } => Pieces::new(&[alpha.into()], &[flat(0.0), IDENTITY]),
            HardSigmoid { alpha: 0.0, beta } => Pieces::new(&[], &[flat(f64::from(beta).clamp(0.0, 1.0))]),
            HardSigmoid { alpha, beta } => {
                let (slope, offset) = (f64::from(alpha), f64::from(beta));
                let [low, high] = if slope > 0.0 { [0.0, 1.0] } else { [1.0, 0.0] };
                let knees = [low, high].map(|value| (value - offset) / slope);
                Pieces::new(&knees, &[flat(low), Kind::Line { slope, offset }, flat(high)])
            }
            HardSwish => Pieces::new(&[-3.0, 3.0], &[flat(0.0), Kind::Curve, IDENTITY]),
            Sigmoid | Tanh | Softplus | Softsign | Mish | Gelu | GeluTanh | Swish { .. } => {
                Pieces::new(&[], &[Kind::Curve])
            }
        }
    }

    fn of_absolute() -> Self {
        Pieces::new(&[0.0], &[Kind::Line { slope: -1.0, offset: 0.0 }, IDENTITY])
    }

    /// The piece that a number lies in; at a knee the one below it.
    pub fn at(&self, x: f64) -> usize {
        self.knees.iter().take_while(|&&knee| x > knee).count()
    }

    /// Whether it is affine between its knees.
    pub fn is_piecewise_linear(&self) -> bool {
        self.kinds.iter().all(|kind| *kind != Kind::Curve)
    }

    /// Whether the function is one constant there.
    pub fn is_flat(&self, piece: usize) -> bool {
        matches!(self.kinds[piece], Kind::Line { slope: 0.0, .. })
    }

    /// Whether the function lets its argument through there, times a factor that is not 0.
    pub fn is_sloped(&self, piece: usize) -> bool {
        matches!(self.kinds[piece], Kind::Line { slope, .. } if slope != 0.0)
    }
}

/// Bounds beyond all f32 numbers are none.
fn clipped(min: f32, max: f32) -> Pieces {
    let (low, high) = (f64::from(min), f64::from(max));
    if low >= high {
        return Pieces::new(&[], &[flat(high)]);
    }
    let mut pieces = Pieces::new(&[], &[IDENTITY]);
    if min > f32::MIN {
        pieces.knees.insert(0, low);
        pieces.kinds.insert(0, flat(low));
    }
    if max < f32::MAX {
        pieces.knees.push(high);
        pieces.kinds.push(flat(high));
    }
    pieces
}

/// A node that applies one function to each element of one value.
#[derive(Debug, Clone)]
pub struct Nonlinearity {
    /// What it is applied to: the pre-activations.
    pub input: ValueId,
    /// Which function; none for the absolute value.
    activation: Option<Activation>,
    /// PRelu's slopes: one for all elements, or one for each channel.
    slopes: Vec<f64>,
}

impl Nonlinearity {
    /// What a node applies to each element; none where it is another kind of node, or no function of one number.
    pub fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let plain = |activation| Some(Nonlinearity { input: node.input(0)?, activation, slopes: vec![0.0] });
        match &node.op {
            Op::Activate(Activate { activation: Activation::Identity }) => None,
            Op::Activate(Activate { activation }) => plain(Some(*activation)),
            Op::Unary(Unary { function: UnaryFunction::Abs }) => plain(None),
            Op::Binary(Binary { function: BinaryFunction::PRelu, activation: Activation::Identity }) => {
                let slopes = graph.constant_input(node, 1)?.as_real().ok()?;
                let shape = &graph.value(node.outputs[0]).ty.shape;
                let channels = shape.get(1).copied().unwrap_or(1);
                let at_channel = shape.len().checked_sub(slopes.ndim()).and_then(|lead| 1usize.checked_sub(lead));
                let per_channel = at_channel.is_some_and(|axis| slopes.shape().get(axis) == Some(&channels));
                let known = slopes.len() == 1 || (per_channel && slopes.len() == channels);
                let slopes = slopes.iter().map(|&slope| f64::from(slope)).collect();
                known.then_some(Nonlinearity { input: node.input(0)?, activation: Some(Activation::PRelu), slopes })
            }
            _ => None,
        }
    }

    /// How many channels have pieces of their own: 1 or the output's.
    pub fn channels(&self) -> usize {
        self.slopes.len()
    }

    /// Its pieces in a channel.
    pub fn pieces(&self, channel: usize) -> Pieces {
        match &self.activation {
            Some(activation) => Pieces::of(activation, self.slopes[channel % self.slopes.len()]),
            None => Pieces::of_absolute(),
        }
    }

    /// The function in a channel.
    pub fn apply(&self, channel: usize, x: f64) -> f64 {
        match &self.activation {
            Some(activation) => activation.apply(x, self.slopes[channel % self.slopes.len()]),
            None => x.abs(),
        }
    }

    /// Whether the function hardly moves at a number: its slope, by central differences, is below a hundredth.
    pub fn is_saturated(&self, channel: usize, x: f64) -> bool {
        const STEP: f64 = 1e-3;
        let rise = self.apply(channel, x + STEP) - self.apply(channel, x - STEP);
        (rise / (2.0 * STEP)).abs() < 0.01
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation::ACTIVATIONS;

    /// Each line of each activation's pieces against the activation's own formula.
    #[test]
    fn pieces_agree_with_the_formulas() {
        for activation in ACTIVATIONS {
            let pieces = Pieces::of(activation, 0.25);
            assert_eq!(pieces.kinds.len(), pieces.knees.len() + 1);
            assert_eq!(pieces.is_piecewise_linear(), activation.is_piecewise_linear(), "{activation:?}");
            for step in -2000..=2000 {
                let x = f64::from(step) * 0.005 + 1e-4;
                if let Kind::Line { slope, offset } = pieces.kinds[pieces.at(x)] {
                    let y: f64 = activation.apply(x, 0.25);
                    assert!((slope * x + offset - y).abs() < 1e-6, "{activation:?} at {x}");
                }
            }
        }
    }

    #[test]
    fn a_clip_has_a_knee_for_each_finite_bound() {
        let knees = |min, max| Pieces::of(&Activation::Clip { min, max }, 0.0).knees;
        assert_eq!(knees(0.0, 6.0), [0.0, 6.0]);
        assert_eq!(knees(0.0, f32::MAX), [0.0]);
        assert!(knees(f32::MIN, f32::MAX).is_empty() && knees(2.0, 1.0).is_empty());
    }
}
