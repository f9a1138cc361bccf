//! `MODEL`, `--shape`, `--dim`, `--batch`, `--align-corners`: a network and what it leaves open.

use super::choices;
use clap::Args;
use reluctor::budget::Budget;
use reluctor::error::Result;
use reluctor::onnx::{AlignCorners, Bindings, Model};
use reluctor::tensor::Shape;
use reluctor_vision::default_model;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Args, Clone)]
pub struct ModelArgs {
    /// An ONNX file; left out, the embedded Fashion-MNIST network
    #[arg(value_name = "MODEL")]
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub(super) open: OpenArgs,
}

/// What the model leaves open.
#[derive(Args, Clone)]
pub struct OpenArgs {
    /// The shape of an input whose dimensions are open, as NAME:1x3x224x224
    #[arg(long, value_name = "NAME:SHAPE", help_heading = "Model")]
    shape: Vec<InputShape>,
    /// The size of a named dimension
    #[arg(long, value_name = "NAME=SIZE", help_heading = "Model")]
    dim: Vec<DimSize>,
    /// The size of an open first dimension; more items than that run one batch after another, where the network keeps them apart
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Model")]
    batch: Option<usize>,
    /// What Resize's align_corners means where scale times size is no whole number
    #[arg(long, value_parser = choices::align_corners(), default_value = "auto", value_name = "LENGTH", help_heading = "Model")]
    align_corners: AlignCorners,
    #[command(flatten)]
    budget: BudgetArgs,
}

/// What the model may ask for; exit code 6 where it is more.
#[derive(Args, Clone)]
struct BudgetArgs {
    /// What its tensors may take in the host's memory, for example 512MiB; left out, all that the machine has
    #[arg(long, value_name = "SIZE", value_parser = memory, help_heading = "Budget")]
    max_memory: Option<u64>,
    /// How many floating-point operations one run of it may take, for example 20G
    #[arg(long, value_name = "N", value_parser = operations, help_heading = "Budget")]
    max_flops: Option<u64>,
    /// How many nodes its file may have
    #[arg(long, value_name = "N", help_heading = "Budget")]
    max_nodes: Option<u64>,
}

impl ModelArgs {
    /// Whether no model was given, so that the embedded one is meant.
    pub fn is_default(&self) -> bool {
        self.path.is_none()
    }

    /// The network.
    pub fn open(&self) -> Result<Model> {
        self.path.as_ref().map_or_else(default_model::model, Model::open)
    }

    /// What the command line says of what the model leaves open.
    pub fn bindings(&self) -> Bindings {
        let shapes = self.open.shape.iter().map(|input| (input.name.clone(), input.shape.clone())).collect();
        let dims = self.open.dim.iter().map(|dim| (dim.name.clone(), dim.size)).collect();
        let BudgetArgs { max_memory, max_flops, max_nodes } = self.open.budget;
        let memory = max_memory.unwrap_or_else(|| Budget::default().memory);
        let budget = Budget { memory, flops: max_flops, nodes: max_nodes };
        let OpenArgs { batch, align_corners, .. } = self.open;
        Bindings { shapes, dims, batch, align_corners, budget, ..Bindings::default() }
    }

    /// The flag that reads the model alike, for a command that is to be repeated.
    pub fn flag(&self) -> String {
        match self.open.align_corners {
            AlignCorners::Auto => String::new(),
            said => format!("--align-corners {}", choices::name_of(said)),
        }
    }

    /// `--batch`
    pub fn batch(&self) -> Option<usize> {
        self.open.batch
    }
}

/// `NAME:1x3x224x224`. The name itself may contain colons, as TensorFlow's do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InputShape {
    name: String,
    shape: Shape,
}

/// `NAME=SIZE`
#[derive(Debug, Clone, PartialEq, Eq)]
struct DimSize {
    name: String,
    size: usize,
}

impl FromStr for InputShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected NAME:SHAPE, for example data:1x3x224x224".to_string();
        let (name, shape) = text.rsplit_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(expected)?;
        let shape = shape.split('x').map(|size| size.parse().map_err(|_| expected())).collect::<Result<_, _>>()?;
        Ok(InputShape { name: name.to_string(), shape })
    }
}

impl FromStr for DimSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, size) = text.rsplit_once('=').ok_or("expected NAME=SIZE, for example N=4")?;
        Ok(DimSize { name: name.to_string(), size: positive(size)? })
    }
}

/// Bytes, or a size with a unit.
pub fn memory(text: &str) -> Result<u64, String> {
    text.parse::<bytesize::ByteSize>().map(|size| size.as_u64())
}

/// A whole number, or one with K, M, G or T behind it.
fn operations(text: &str) -> Result<u64, String> {
    let units = [('K', 1_000), ('M', 1_000_000), ('G', 1_000_000_000), ('T', 1_000_000_000_000)];
    let unit = units.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = unit.unwrap_or((text, 1u64));
    let count = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    count.ok_or_else(|| "expected a whole number, perhaps with K, M, G or T behind it".to_string())
}

/// A count of at least one.
pub fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "expected a whole number of at least 1".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_names_its_input() {
        let parsed = |name: &str, shape: &[usize]| Ok(InputShape { name: name.to_string(), shape: shape.to_vec() });
        assert_eq!("data:1x3x224x224".parse(), parsed("data", &[1, 3, 224, 224]));
        assert_eq!("input:0:7".parse(), parsed("input:0", &[7]));
        for text in ["1x3x224x224", ":1x3", "data:", "data:1x", "data:1xax3", "data:-1x3", "data:1,3"] {
            assert!(text.parse::<InputShape>().is_err(), "{text}");
        }
    }

    #[test]
    fn operations_are_counted_in_thousands_of_thousands() {
        assert_eq!((operations("7"), operations("20G")), (Ok(7), Ok(20_000_000_000)));
        for text in ["", "G", "-1", "1.5G", "1g", "99999999999T"] {
            assert!(operations(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_dimension_has_a_size_of_at_least_one() {
        assert_eq!("N=4".parse(), Ok(DimSize { name: "N".to_string(), size: 4 }));
        assert_eq!("a=b=4".parse(), Ok(DimSize { name: "a=b".to_string(), size: 4 }));
        for text in ["N", "N=", "N=0", "N=-1", "N=x"] {
            assert!(text.parse::<DimSize>().is_err(), "{text}");
        }
    }
}
