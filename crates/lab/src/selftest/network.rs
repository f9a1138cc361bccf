//! A random network as data: operators, attributes and sizes, but no numbers. Those follow from the seed, so that a network
//! can be changed in one place and stays whole.

use reluctor::error::{Error, Result};
use reluctor::onnx::{AttributeValue, Bindings, Model, ModelBuilder};
use reluctor::random::Random;
use reluctor::tensor::{Shape, Tensor, TensorType, checked_len, format_shape};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;

/// The version of ONNX's operators that the networks use.
pub const OPSET: i64 = 22;

/// A value of a network, by a number that it keeps while others come and go.
pub type Id = usize;

/// What a network's tensors hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Fractions of either sign.
    Reals,
    /// Small whole numbers: as long as sums stay under 2^24, f32 is exact.
    Integers,
    /// The same without their signs: no sum of the network of integers is larger than this one's.
    Magnitudes,
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// What all of its numbers follow from.
    pub seed: u64,
    /// Of which kind they are.
    pub numbers: Numbers,
    /// Reals among its inputs lie between this and its negative.
    pub largest: f32,
    /// What it is given; all have the same batch.
    pub inputs: Vec<(Id, Shape)>,
    /// Its nodes, each after those that it reads. What no node reads is an output.
    pub layers: Vec<Layer>,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its first result.
    pub id: Id,
    /// Its operator.
    pub op_type: &'static str,
    /// The values that it reads.
    pub inputs: Vec<Id>,
    /// The constants that it reads after them.
    pub constants: Vec<Constant>,
    /// Its attributes.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// How many results it has; only the first has readers.
    pub results: usize,
}

/// A constant, by what its shape follows from.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// An optional input that is left out.
    Absent,
    /// `[out, channels / group, kernel_shape...]`
    Filters {
        /// Channels of the result.
        out: usize,
    },
    /// `[channels, out / group, kernel_shape...]`, as a transposed convolution has them.
    TransposedFilters {
        /// Channels of the result.
        out: usize,
    },
    /// `[inner, out]`, or the reverse where `transB` says so.
    Matrix {
        /// Columns of the result.
        out: usize,
    },
    /// One number for each channel of the result of one of the above.
    Bias,
    /// `[channels]`, and as many ones behind it.
    Channels {
        /// Sizes of 1 behind the channels.
        ones: usize,
        /// What the numbers lie in.
        range: Range<f32>,
    },
    /// One number for each index of these axes of the first input; the others have a size of 1.
    Along {
        /// The axes.
        axes: Vec<usize>,
        /// What the numbers lie in.
        range: Range<f32>,
    },
    /// What decides a shape or an attribute, or has a fixed shape.
    Given(Tensor),
}

/// A network as a file, with what to run it on.
#[derive(Debug, Clone)]
pub struct Built {
    /// The ONNX model.
    pub file: Vec<u8>,
    /// Its inputs' contents.
    pub inputs: Vec<(String, Tensor)>,
}

/// The type of each value, by number.
pub type Types = HashMap<Id, TensorType>;

impl Network {
    /// The ONNX file and its inputs.
    ///
    /// # Errors
    /// Where a node of its own is refused by the importer, which infers shapes.
    pub fn build(&self) -> Result<Built> {
        let types = self.types()?;
        let mut builder = ModelBuilder::new(OPSET);
        let mut inputs = Vec::new();
        for (id, shape) in &self.inputs {
            builder.input(&name(*id), &types[id]);
            inputs.push((name(*id), self.contents(*id, 0, shape, &(-self.largest..self.largest))?));
        }
        for layer in &self.layers {
            self.add(layer, &types, &mut builder)?;
        }
        for layer in &self.layers {
            if !self.layers.iter().any(|reader| reader.inputs.contains(&layer.id)) {
                builder.output(&name(layer.id), Some(&types[&layer.id]));
            }
            for result in 1..layer.results {
                builder.output(&result_name(layer.id, result), None);
            }
        }
        Ok(Built { file: builder.to_bytes(), inputs })
    }

    /// The type of each value.
    ///
    /// # Errors
    /// Where a node of its own is refused by the importer, which infers shapes.
    pub fn types(&self) -> Result<Types> {
        let inputs = self.inputs.iter().map(|(id, shape)| (*id, TensorType::real(shape.clone())));
        let mut types: Types = inputs.collect();
        for layer in &self.layers {
            let ty = self.result_of(layer, &types)?;
            types.insert(layer.id, ty);
        }
        Ok(types)
    }

    /// The type of a node's first result, by importing a model of this node alone.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn result_of(&self, layer: &Layer, types: &Types) -> Result<TensorType> {
        let mut builder = ModelBuilder::new(OPSET);
        let mut declared = layer.inputs.clone();
        declared.sort_unstable();
        declared.dedup();
        for id in declared {
            builder.input(&name(id), &types[&id]);
        }
        self.add(layer, types, &mut builder)?;
        builder.output(&name(layer.id), None);
        let graph = Model::from_bytes("node", builder.to_bytes())?.graph(&Bindings::default())?;
        Ok(graph.value(graph.outputs[0]).ty.clone())
    }

    fn add(&self, layer: &Layer, types: &Types, builder: &mut ModelBuilder) -> Result<()> {
        let mut inputs: Vec<String> = layer.inputs.iter().map(|&id| name(id)).collect();
        let shape = &types[&layer.inputs[0]].shape;
        for (slot, constant) in layer.constants.iter().enumerate() {
            let Some(tensor) = self.constant(layer, slot, constant, shape)? else {
                inputs.push(String::new());
                continue;
            };
            let name = format!("c{}_{slot}", layer.id);
            builder.initializer(&name, &tensor);
            inputs.push(name);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let outputs: Vec<String> = (0..layer.results).map(|result| result_name(layer.id, result)).collect();
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        builder.node(layer.op_type, &format!("{}_{}", layer.op_type, layer.id), &inputs, &outputs, &layer.attributes);
        Ok(())
    }

    fn constant(&self, layer: &Layer, slot: usize, constant: &Constant, input: &[usize]) -> Result<Option<Tensor>> {
        let channels = input.get(1).copied().unwrap_or(1);
        let (shape, range) = match constant {
            Constant::Absent => return Ok(None),
            Constant::Given(tensor) => return Ok(Some(tensor.clone())),
            Constant::Filters { out } => {
                let shape =
                    [&[*out, grouped(channels, layer.group())?], layer.ints("kernel_shape").as_slice()].concat();
                let fan_in = shape[1..].iter().product();
                (shape, fan(fan_in))
            }
            Constant::TransposedFilters { out } => {
                let shape =
                    [&[channels, grouped(*out, layer.group())?], layer.ints("kernel_shape").as_slice()].concat();
                grouped(channels, layer.group())?;
                let fan_in = channels / layer.group() * shape[2..].iter().product::<usize>();
                (shape, fan(fan_in))
            }
            Constant::Matrix { out } => {
                let inner = if layer.int("transA") == 1 { input[0] } else { *input.last().unwrap_or(&1) };
                let shape = if layer.int("transB") == 1 { vec![*out, inner] } else { vec![inner, *out] };
                (shape, fan(inner))
            }
            Constant::Bias => (vec![layer.out().unwrap_or(channels)], -1.0..1.0),
            Constant::Channels { ones, range } => ([vec![channels], vec![1; *ones]].concat(), range.clone()),
            Constant::Along { axes, range } => {
                let size = |(axis, &size): (usize, &usize)| if axes.contains(&axis) { size } else { 1 };
                (input.iter().enumerate().map(size).collect(), range.clone())
            }
        };
        self.contents(layer.id, slot + 1, &shape, &range).map(Some)
    }

    /// Random numbers that depend on nothing but the seed and the place.
    fn contents(&self, id: Id, slot: usize, shape: &[usize], range: &Range<f32>) -> Result<Tensor> {
        let mut random = Random::new(self.seed ^ Random::new((id * 16 + slot) as u64).bits());
        if self.numbers == Numbers::Reals {
            let mut tensor = random.tensor(shape, range)?;
            if let (true, Tensor::Real(array)) = (range.start < 0.0, &mut tensor) {
                // Functions have their corners at zero, which no uniform number hits.
                array.iter_mut().filter(|_| random.once_in(16)).for_each(|x| *x = 0.0f32.copysign(*x));
            }
            return Ok(tensor);
        }
        let whole = |_| random.between(0, 4) as f32 - 2.0;
        let numbers: Vec<f32> = (0..checked_len(shape)?).map(whole).collect();
        let signed = self.numbers == Numbers::Integers;
        Tensor::real(shape, numbers.into_iter().map(|x| if signed { x } else { x.abs() }).collect())
    }

    /// The same network of each image of the batch by itself, or nothing where some node mixes images.
    pub fn is_batchwise(&self) -> bool {
        self.layers.iter().all(Layer::is_batchwise)
    }

    /// The images of a batch.
    pub fn batch(&self) -> usize {
        self.inputs.first().map_or(1, |(_, shape)| shape[0])
    }

    /// The same network for one image.
    pub fn single(&self) -> Network {
        let mut single = self.clone();
        single.inputs.iter_mut().for_each(|(_, shape)| shape[0] = 1);
        single
    }

    /// How many nodes of each operator there are.
    pub fn operators(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        self.layers.iter().for_each(|layer| *counts.entry(layer.op_type).or_insert(0) += 1);
        counts
    }
}

impl Layer {
    /// An attribute of integers; none where it is absent.
    pub fn ints(&self, name: &str) -> Vec<usize> {
        match self.attribute(name) {
            Some(AttributeValue::Ints(values)) => values.iter().map(|&value| value as usize).collect(),
            _ => Vec::new(),
        }
    }

    fn int(&self, name: &str) -> i64 {
        match self.attribute(name) {
            Some(&AttributeValue::Int(value)) => value,
            _ => 0,
        }
    }

    fn group(&self) -> usize {
        self.int("group").max(1) as usize
    }

    fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The channels that its weights give its result.
    fn out(&self) -> Option<usize> {
        self.constants.iter().find_map(|constant| match constant {
            Constant::Filters { out } | Constant::TransposedFilters { out } | Constant::Matrix { out } => Some(*out),
            _ => None,
        })
    }

    fn given_ints(&self, slot: usize) -> Vec<i64> {
        match self.constants.get(slot) {
            Some(Constant::Given(Tensor::Int(array))) => array.iter().copied().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether each image of a batch gets the result that it would get alone.
    fn is_batchwise(&self) -> bool {
        let first = |slot: usize| self.given_ints(slot).first().copied();
        let of_images = |constant: &Constant| matches!(constant, Constant::Along { axes, .. } if axes.contains(&0));
        if self.constants.iter().any(of_images) {
            return false;
        }
        match self.op_type {
            "Softmax" | "LogSoftmax" | "Concat" | "Split" | "LayerNormalization" => {
                self.attribute("axis").is_none_or(|axis| *axis != AttributeValue::Int(0))
            }
            "Flatten" => self.attribute("axis").is_none_or(|axis| *axis == AttributeValue::Int(1)),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" => first(0).is_some_and(|axis| axis != 0),
            "Transpose" => self.ints("perm").first() == Some(&0),
            // 0 copies the size of the input.
            "Reshape" => first(0) == Some(0),
            "Expand" | "Tile" => first(0) == Some(1),
            "Pad" => {
                let amounts = self.given_ints(0);
                !amounts.is_empty() && amounts[0] == 0 && amounts[amounts.len() / 2] == 0
            }
            "Slice" => !self.given_ints(2).contains(&0),
            // Sizes for all axes state the batch; scales do not.
            "Resize" => self.constants.len() < 3 || !self.ints("axes").is_empty(),
            "Gemm" => self.int("transA") == 0,
            _ => true,
        }
    }
}

/// Filters whose sums are about as large as what goes in (He et al., 2015).
fn fan(fan_in: usize) -> Range<f32> {
    let scale = (3.0 / fan_in.max(1) as f32).sqrt();
    -scale..scale
}

fn grouped(channels: usize, groups: usize) -> Result<usize> {
    let whole = channels.is_multiple_of(groups) && channels > 0;
    whole
        .then(|| channels / groups)
        .ok_or_else(|| Error::invalid("random network", format!("{channels} channels do not fit {groups} groups")))
}

fn name(id: Id) -> String {
    format!("v{id}")
}

fn result_name(id: Id, result: usize) -> String {
    if result == 0 { name(id) } else { format!("v{id}_{result}") }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, shape) in &self.inputs {
            writeln!(f, "{} = input {} of {:?} up to {}", name(*id), format_shape(shape), self.numbers, self.largest)?;
        }
        self.layers.iter().try_for_each(|layer| writeln!(f, "{layer}"))
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs = self.inputs.iter().map(|&id| name(id));
        let inputs: Vec<String> = inputs.chain(self.constants.iter().map(ToString::to_string)).collect();
        write!(f, "{} = {}({})", name(self.id), self.op_type, inputs.join(", "))?;
        for (name, value) in &self.attributes {
            match value {
                AttributeValue::Int(value) => write!(f, " {name}={value}")?,
                AttributeValue::Float(value) => write!(f, " {name}={value}")?,
                AttributeValue::Text(value) => write!(f, " {name}={value}")?,
                AttributeValue::Ints(values) => write!(f, " {name}={values:?}")?,
                other => write!(f, " {name}={other:?}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Absent => f.write_str("-"),
            Constant::Filters { out } | Constant::TransposedFilters { out } => write!(f, "filters to {out} channels"),
            Constant::Matrix { out } => write!(f, "matrix to {out} columns"),
            Constant::Bias => f.write_str("bias"),
            Constant::Channels { .. } => f.write_str("one number a channel"),
            Constant::Along { axes, .. } => write!(f, "numbers along {axes:?}"),
            Constant::Given(Tensor::Real(array)) => write!(f, "{:?}", array.iter().collect::<Vec<_>>()),
            Constant::Given(Tensor::Int(array)) => write!(f, "{:?}", array.iter().collect::<Vec<_>>()),
            Constant::Given(Tensor::Bool(array)) => write!(f, "{:?}", array.iter().collect::<Vec<_>>()),
        }
    }
}
