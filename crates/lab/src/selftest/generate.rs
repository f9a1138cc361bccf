//! Which networks are tried: odd sizes, every operator with all of its attributes, and each valid by ONNX's rules, so that an
//! error is the engine's.

mod layers;
mod moves;

use super::network::{Constant, Id, Layer, Network, Numbers, Types};
use reluctor::error::Error;
use reluctor::onnx::AttributeValue;
use reluctor::random::Random;
use reluctor::tensor::Shape;

/// Channel counts around the widths of tiles and vectors.
const CHANNELS: [usize; 18] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65];
/// Image sizes.
const SIZES: [usize; 11] = [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17];
/// Nodes at most.
const LAYERS: usize = 8;
/// The largest number among the inputs, where it is not 2: functions have other branches far from zero and close to it.
const LARGEST: [f32; 3] = [0.01, 50.0, 1000.0];
/// Elements of a tensor at most: software devices are slow, and small networks are the ones to read.
const ELEMENTS: usize = 1 << 15;
/// Multiply-adds of a node at most.
const PRODUCTS: usize = 1 << 22;

/// The network of a seed, and why nodes that were tried for it were refused, by operator.
pub fn generate(seed: u64) -> (Network, Vec<String>) {
    let mut generator = Generator::new(seed);
    let wanted = generator.random.between(1, LAYERS);
    // A node that is too large is left out and another tried, but not forever.
    for _ in 0..4 * LAYERS {
        if generator.network.layers.len() == wanted || generator.broken {
            break;
        }
        generator.grow();
    }
    (generator.network, generator.refused)
}

struct Generator {
    random: Random,
    network: Network,
    types: Types,
    refused: Vec<String>,
    /// Whether one operator and a chain behind it are made, as passes fuse them.
    is_chain: bool,
    /// The importer found a node invalid: nothing can be built upon it, and the check will report it.
    broken: bool,
}

/// A node before it has a number.
struct Proposal {
    op_type: &'static str,
    inputs: Vec<Id>,
    constants: Vec<Constant>,
    attributes: Vec<(&'static str, AttributeValue)>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let numbers = if random.once_in(4) { Numbers::Integers } else { Numbers::Reals };
        let batch = random.between(1, 3);
        let shape = match random.below(12) {
            0 => vec![batch, random.pick(&CHANNELS)],
            1 => vec![batch, random.pick(&CHANNELS), random.pick(&SIZES)],
            2..6 => vec![batch, random.pick(&CHANNELS), 7, 13],
            _ => vec![batch, random.pick(&CHANNELS), random.pick(&SIZES), random.pick(&SIZES)],
        };
        let inputs: Vec<(Id, Shape)> = (0..random.between(1, 2)).map(|id| (id, shape.clone())).collect();
        let largest = if random.once_in(4) { random.pick(&LARGEST) } else { 2.0 };
        let network = Network { seed, numbers, largest, inputs, layers: Vec::new() };
        let types = network.types().expect("a network without nodes has no node to refuse");
        let is_chain = random.once_in(2);
        Generator { random, network, types, refused: Vec::new(), is_chain, broken: false }
    }

    /// Tries one more node.
    fn grow(&mut self) {
        let Some(proposal) = self.propose() else { return };
        let Proposal { op_type, inputs, constants, attributes } = proposal;
        let id = self.types.len();
        let results = if op_type == "Split" { 2 } else { 1 };
        let layer = Layer { id, op_type, inputs, constants, attributes, results };
        if self.products(&layer) > PRODUCTS {
            return;
        }
        match self.network.result_of(&layer, &self.types) {
            Ok(ty) if ty.shape.iter().product::<usize>() > ELEMENTS => {}
            Ok(ty) => {
                self.types.insert(id, ty);
                self.network.layers.push(layer);
            }
            Err(Error::Unsupported { nodes, .. }) => {
                self.refused.extend(nodes.iter().map(|node| format!("{}: {}", node.op_type, node.reason)));
            }
            Err(_) => {
                self.network.layers.push(layer);
                self.broken = true;
            }
        }
    }

    /// An upper limit of the multiply-adds of a convolution or a product.
    fn products(&self, layer: &Layer) -> usize {
        let input = &self.types[&layer.inputs[0]].shape;
        let per_element = layer.constants.iter().map(|constant| match constant {
            Constant::Filters { out } | Constant::TransposedFilters { out } => {
                out * layer.ints("kernel_shape").iter().product::<usize>()
            }
            Constant::Matrix { out } => *out,
            _ => 0,
        });
        input.iter().product::<usize>() * per_element.sum::<usize>()
    }

    /// A value: the last one mostly, so that networks are deep.
    fn value(&mut self) -> (Id, Shape) {
        let last = self.network.layers.last().map(|layer| layer.id);
        let id = match last {
            Some(id) if self.is_chain || !self.random.once_in(4) => id,
            _ => {
                let ids: Vec<Id> = self.ids();
                self.random.pick(&ids)
            }
        };
        (id, self.types[&id].shape.clone())
    }

    fn ids(&self) -> Vec<Id> {
        let layers = self.network.layers.iter().map(|layer| layer.id);
        self.network.inputs.iter().map(|(id, _)| *id).chain(layers).collect()
    }

    /// The values that broadcast to a shape without a change of rank.
    fn broadcast_to(&self, shape: &[usize]) -> Vec<Id> {
        let fits = |other: &[usize]| {
            other.len() == shape.len() && other.iter().zip(shape).all(|(&size, &wanted)| size == wanted || size == 1)
        };
        self.ids().into_iter().filter(|id| fits(&self.types[id].shape)).collect()
    }

    /// The values that differ from a shape in nothing, or in one axis.
    fn alike(&self, shape: &[usize], axis: Option<usize>) -> Vec<Id> {
        let same = |other: &[usize]| {
            other.len() == shape.len()
                && (0..shape.len()).all(|at| other[at] == shape[at] || axis.is_some_and(|axis| axis == at))
        };
        self.ids().into_iter().filter(|id| same(&self.types[id].shape)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_makes_the_same_network_each_time() {
        for seed in 0..50 {
            let [(one, _), (same, _)] = [(); 2].map(|()| generate(seed));
            assert_eq!(one, same);
            assert_eq!(one.build().unwrap().file, same.build().unwrap().file);
        }
    }

    /// Operators that are computed while a model is loaded, or are made of others that are tried.
    const NOT_TRIED: &str = "Atan CastLike Constant ConstantOfShape Cos DequantizeLinear Dropout Einsum GatherElements GatherND \
        GlobalLpPool Hardmax If LpNormalization MeanVarianceNormalization Mod NonZero QuantizeLinear Range ReduceL1 ReduceL2 \
        ReduceLogSum ReduceLogSumExp ReduceProd ReduceSumSquare Scatter ScatterElements ScatterND Shape Sin Size Unsqueeze \
        Upsample";
    /// Operators on truth values and places: a random network has reals alone, and tests/it/parity/kinds.rs tries these.
    const NO_REALS: &str = "And ArgMax ArgMin Cast Equal Greater GreaterOrEqual Less LessOrEqual MaxUnpool Not OneHot Or TopK \
        Where Xor";

    #[test]
    fn every_operator_with_a_device_form_is_tried() {
        let tried: BTreeSet<&str> = (0..4000).flat_map(|seed| generate(seed).0.operators().into_keys()).collect();
        let known = reluctor::onnx::operators().map(|(op_type, _)| op_type);
        let excused: Vec<&str> = NOT_TRIED.split(' ').chain(NO_REALS.split(' ')).collect();
        let missing: Vec<&str> = known.filter(|op| !tried.contains(op) && !excused.contains(op)).collect();
        assert_eq!(missing, [""; 0]);
    }
}
