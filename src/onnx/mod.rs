//! ONNX files in, graphs out, and small ONNX files out again. Strings, optional attributes and versions of operators stop here.

mod builder;
mod data;
mod dialect;
mod external;
mod extract;
mod functions;
mod import;
mod node;
mod outline;
mod proto;
mod step;
mod wire;

pub use builder::{AttributeValue, ModelBuilder};
pub use dialect::AlignCorners;
pub use extract::Part;
pub use import::Family;
pub use node::OnnxNode;
pub use outline::Outline;

use crate::budget::Budget;
use crate::element::Element;
use crate::error::{Error, Result, UnsupportedNode};
use crate::graph::Graph;
use crate::tensor::{Kind, MAX_RANK, Shape, Tensor};
use external::External;
use proto::{Dim, Encode};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Protocol buffers cannot be larger: what is, is no model, and models of more weights keep them in other files.
const MAX_FILE: u64 = i32::MAX as u64;

/// An ONNX file in memory, checked to be one. Clones share the bytes. Shapes may still be open: [`Model::graph`] binds them.
#[derive(Clone)]
pub struct Model {
    name: String,
    bytes: Arc<Vec<u8>>,
    external: External,
}

/// What a model and the standard leave open.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// Shapes of inputs, by name.
    pub shapes: HashMap<String, Shape>,
    /// Sizes of named dimensions.
    pub dims: HashMap<String, usize>,
    /// Size of the first dimension of each input that leaves it open; 1 where nothing else is said.
    pub batch: Option<usize>,
    /// Inputs that are the same in every run: they become constants before shapes are inferred.
    pub constants: HashMap<String, Tensor>,
    /// What `align_corners` means where the standard leaves it open; [`Graph::readings`] says where that decides numbers.
    pub align_corners: AlignCorners,
    /// What the network may ask for.
    pub budget: Budget,
}

/// An input or an output as the model declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// The type of its elements in the file.
    pub element: Element,
    /// A size or a name for each dimension; none where even the rank is open.
    pub dims: Option<Vec<DeclaredDim>>,
}

/// A dimension as the model declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeclaredDim {
    /// Known.
    Size(usize),
    /// Left open; the name may be empty.
    Open(String),
}

impl Model {
    /// Reads a file. Data that it keeps in other files must lie in the same folder or below.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`Error::Invalid`] where it is not an ONNX model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = crate::files::read_up_to(path, MAX_FILE)?;
        let name = path.display().to_string();
        Model { name, bytes: Arc::new(bytes), external: External::beside(path) }.checked()
    }

    /// Takes a file's content.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not an ONNX model.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self> {
        Model { name: name.to_string(), bytes: Arc::new(bytes), external: External::none() }.checked()
    }

    /// From here on the bytes are those of a model without functions of its own.
    fn checked(mut self) -> Result<Self> {
        let model = self.parse()?;
        let flat = functions::flat(&model, self.bytes.len()).map_err(|error| self.blame(error))?;
        if let Some(bytes) = flat.map(|flat| flat.model(model).encode()) {
            self.bytes = Arc::new(bytes);
        }
        Ok(self)
    }

    fn parse(&self) -> Result<proto::Model<'_>> {
        proto::parse_model(&self.bytes).map_err(|error| self.blame(error))
    }

    /// Names the file in an error about its content.
    fn blame(&self, error: Error) -> Error {
        match error {
            Error::Invalid { culprit, reason } => Error::invalid(&self.name, format!("{culprit}: {reason}")),
            Error::Unsupported { nodes, .. } => Error::Unsupported { file: self.name.clone(), nodes },
            other => other,
        }
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the operators that the model was written for.
    pub fn opset(&self) -> Result<i64> {
        Ok(import::opset(&self.parse()?))
    }

    /// What the caller has to supply: the graph's inputs without a default.
    pub fn inputs(&self) -> Result<Vec<Declared>> {
        self.declared_inputs(false)
    }

    /// What the caller may supply: inputs that an initializer gives a value where nothing else does.
    pub fn defaults(&self) -> Result<Vec<Declared>> {
        self.declared_inputs(true)
    }

    /// What the caller gets back: the declared type is missing where the file leaves it out.
    pub fn outputs(&self) -> Result<Vec<(String, Option<Declared>)>> {
        let model = self.parse()?;
        Ok(model.graph.outputs.iter().map(|output| (output.name.to_string(), declared(output).ok())).collect())
    }

    fn declared_inputs(&self, with_default: bool) -> Result<Vec<Declared>> {
        let model = self.parse()?;
        let defaults: HashSet<&str> = model.graph.initializers.iter().map(|tensor| tensor.name).collect();
        let wanted = model.graph.inputs.iter().filter(|input| defaults.contains(&input.name) == with_default);
        wanted.map(|input| declared(input).map_err(|error| self.blame(error))).collect()
    }

    /// The network with concrete shapes. What does not depend on its inputs is already computed.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the model breaks ONNX's rules, [`Error::Unsupported`] with every node that this engine
    /// cannot run, [`Error::Usage`] where a dimension is left open, [`Error::Budget`] where it asks for too much.
    pub fn graph(&self, bindings: &Bindings) -> Result<Graph> {
        let model = self.parse()?;
        let mut graph = import::graph(&model, &self.external, bindings).map_err(|error| self.blame(error))?;
        graph.name = self.name.clone();
        graph.converted = outline::converted(&model.graph);
        graph.validate()?;
        bindings.budget.graph(&graph)?;
        Ok(graph)
    }
}

/// A tensor from the bytes of an ONNX TensorProto, as `input_0.pb` files hold.
pub(crate) fn tensor_from_bytes(name: &str, bytes: &[u8]) -> Result<Tensor> {
    let blame = |error: Error| match error {
        Error::Invalid { culprit, reason } => Error::invalid(name, format!("{culprit}: {reason}")),
        Error::Unsupported { nodes, .. } => Error::Unsupported { file: name.to_string(), nodes },
        other => other,
    };
    proto::parse_tensor(bytes).and_then(|proto| data::tensor(&proto, &External::none())).map_err(blame)
}

/// The ONNX operators that this engine knows, sorted, and what they are for.
pub fn operators() -> impl Iterator<Item = (&'static str, Family)> {
    import::OPERATORS.iter().map(|&(op_type, family, _)| (op_type, family))
}

fn declared(input: &proto::ValueInfoProto<'_>) -> Result<Declared> {
    let blame = |reason: &str| Error::invalid(format!("input '{}'", input.name), reason);
    let no_tensor = || UnsupportedNode {
        node: input.name.to_string(),
        op_type: "input".to_string(),
        reason: "is not a tensor".to_string(),
    };
    let refused = || Error::Unsupported { file: String::new(), nodes: vec![no_tensor()] };
    let ty = input.tensor.as_ref().ok_or_else(refused)?;
    if let Some(dims) = ty.dims.as_ref().filter(|dims| dims.len() > MAX_RANK) {
        return Err(blame(&format!("has {} dimensions, at most {MAX_RANK} are allowed", dims.len())));
    }
    let dims = ty.dims.as_ref().map(|dims| {
        let dim = |dim: &Dim<'_>| match *dim {
            // Some exporters write a batch of any size as 0 or -1.
            Dim::Size(size) if size > 0 => {
                usize::try_from(size).map(DeclaredDim::Size).map_err(|_| blame("is too large"))
            }
            Dim::Size(_) | Dim::Unknown => Ok(DeclaredDim::Open(String::new())),
            Dim::Name(name) => Ok(DeclaredDim::Open(name.to_string())),
        };
        dims.iter().map(dim).collect::<Result<Vec<_>>>()
    });
    Ok(Declared { name: input.name.to_string(), element: data::element(ty.elem_type)?, dims: dims.transpose()? })
}

impl Declared {
    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.element.kind()
    }

    /// Whether a tensor, which is from `source`, holds what is declared: reals of any precision, integers that the type has.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it does not.
    pub fn takes(&self, tensor: &Tensor, source: &str) -> Result<()> {
        let [least, most] = self.element.range();
        let beyond = match tensor {
            _ if tensor.kind() != self.kind() => Some(format!("{:?}", tensor.kind())),
            Tensor::Int(array) => array.iter().find(|x| !(least..=most).contains(*x)).map(i64::to_string),
            _ => None,
        };
        let Some(beyond) = beyond else { return Ok(()) };
        let reason = format!("is declared as {}, but {source} holds {beyond}", self.element);
        Err(Error::invalid(format!("input '{}'", self.name), reason))
    }

    /// `1x3xheightx?`: sizes, names of open dimensions, and a question mark for those without one.
    pub fn dims_in_words(&self) -> String {
        let dim = |dim: &DeclaredDim| match dim {
            DeclaredDim::Size(size) => size.to_string(),
            DeclaredDim::Open(name) if name.is_empty() => "?".to_string(),
            DeclaredDim::Open(name) => crate::error::escape(name),
        };
        match self.dims.as_deref() {
            None => "of any shape".to_string(),
            Some([]) => "scalar".to_string(),
            Some(dims) => dims.iter().map(dim).collect::<Vec<_>>().join("x"),
        }
    }

    /// The size of each dimension under these bindings, none where it is still open; none where even the rank is.
    pub fn known(&self, bindings: &Bindings) -> Option<Vec<Option<usize>>> {
        if let Some(given) = bindings.shapes.get(&self.name) {
            return Some(given.iter().copied().map(Some).collect());
        }
        let known = |dim: &DeclaredDim| match dim {
            DeclaredDim::Size(size) => Some(*size),
            DeclaredDim::Open(name) => bindings.dims.get(name).copied(),
        };
        self.dims.as_ref().map(|dims| dims.iter().map(known).collect())
    }

    /// The shape under these bindings.
    ///
    /// # Errors
    /// [`Error::Usage`] where a dimension is still open, or a given shape contradicts the declared one.
    pub fn shape(&self, bindings: &Bindings) -> Result<Shape> {
        let name = crate::error::escape(&self.name);
        let given = bindings.shapes.get(&self.name);
        let Some(dims) = &self.dims else {
            let hint = || Error::Usage(format!("input '{name}' declares no shape: give one with --shape '{name}:...'"));
            return given.cloned().ok_or_else(hint);
        };
        if let Some(given) = given
            && given.len() != dims.len()
        {
            let message = format!("input '{name}' has {} dimensions, not {}", dims.len(), given.len());
            return Err(Error::Usage(message));
        }
        let mut shape = Vec::with_capacity(dims.len());
        for (axis, dim) in dims.iter().enumerate() {
            let given = given.map(|given| given[axis]);
            shape.push(match (dim, given) {
                (DeclaredDim::Size(size), Some(given)) if *size != given => {
                    let message = format!("input '{name}' has size {size} in dimension {axis}, not {given}");
                    return Err(Error::Usage(message));
                }
                (DeclaredDim::Size(size), _) => *size,
                (DeclaredDim::Open(dim), Some(given)) => match bindings.dims.get(dim) {
                    Some(&bound) if bound != given => {
                        let dim = crate::error::escape(dim);
                        let message = format!("dimension '{dim}' of input '{name}' is {given}, and bound to {bound}");
                        return Err(Error::Usage(message));
                    }
                    _ => given,
                },
                (DeclaredDim::Open(dim), None) => match bindings.dims.get(dim) {
                    Some(&size) => size,
                    None if axis == 0 => bindings.batch.unwrap_or(1),
                    None => {
                        let what =
                            if dim.is_empty() { format!("dimension {axis}") } else { format!("dimension '{dim}'") };
                        let what = crate::error::escape(&what);
                        return Err(Error::Usage(format!(
                            "{what} of input '{name}' is open: give it with --shape or --dim"
                        )));
                    }
                },
            });
        }
        Ok(shape)
    }
}
