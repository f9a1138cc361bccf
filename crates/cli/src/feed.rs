//! What a network is fed: a tensor for each of its inputs, and where it came from.

use reluctor::error::{Error, Result, escape};
use reluctor::onnx::{Declared, DeclaredDim, Model};
use reluctor::tensor::{Kind, Tensor, format_shape};
use reluctor_vision::answer::View;

/// One input's content.
pub struct Fed {
    /// The input's name.
    pub name: String,
    /// Its content; its first dimension may hold more items than the network takes at once.
    pub tensor: Tensor,
    /// Where it came from, for reports.
    pub source: String,
    /// Whether each run is given it; else it is a constant of the network.
    pub open: bool,
}

/// The model's inputs while they are being filled.
pub struct Feed {
    slots: Vec<(Declared, Option<Fed>)>,
    /// Inputs that have a default: nothing need be given for them.
    defaults: Vec<Declared>,
    /// What is given in place of a default.
    overrides: Vec<Fed>,
    /// What the items along the first dimension are called, where they are pictures.
    pub items: Vec<String>,
    /// Where the network sees each of them.
    pub views: Vec<View>,
}

impl Feed {
    /// Nothing filled yet.
    pub fn of(model: &Model) -> Result<Self> {
        let slots = model.inputs()?.into_iter().map(|declared| (declared, None)).collect();
        let defaults = model.defaults()?;
        Ok(Feed { slots, defaults, overrides: Vec::new(), items: Vec::new(), views: Vec::new() })
    }

    /// The inputs, in the model's order.
    pub fn declared(&self) -> impl Iterator<Item = &Declared> {
        self.slots.iter().map(|(declared, _)| declared)
    }

    /// The inputs that nothing was given for yet.
    pub fn open(&self) -> Vec<Declared> {
        self.slots.iter().filter(|(_, fed)| fed.is_none()).map(|(declared, _)| declared.clone()).collect()
    }

    /// What is filled, in the model's order.
    pub fn filled(&self) -> impl Iterator<Item = &Fed> {
        self.slots.iter().filter_map(|(_, fed)| fed.as_ref())
    }

    /// What is given in place of defaults.
    pub fn overrides(&self) -> &[Fed] {
        &self.overrides
    }

    /// The declaration of the input of this name, which may have a default.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none.
    pub fn named(&self, name: &str) -> Result<&Declared> {
        self.declared().chain(&self.defaults).find(|declared| declared.name == name).ok_or_else(|| {
            let names: Vec<String> =
                self.declared().chain(&self.defaults).map(|declared| escape(&declared.name)).collect();
            Error::Usage(format!("the model has no input '{}'; its inputs are: {}", escape(name), names.join(", ")))
        })
    }

    /// Fills an input.
    ///
    /// # Errors
    /// [`Error::Usage`] where it does not exist or is filled already, [`Error::Invalid`] where it holds something else.
    pub fn fill(&mut self, name: &str, tensor: Tensor, source: String) -> Result<()> {
        let declared = self.named(name)?;
        declared.takes(&tensor, &source)?;
        let has_default = self.defaults.iter().any(|declared| declared.name == name);
        let open = declared.kind() == Kind::Real && !has_default;
        fits(declared, &tensor, &source, open)?;
        let given = Fed { name: name.to_string(), tensor, source, open };
        match self.slots.iter_mut().find(|(declared, fed)| declared.name == name && fed.is_none()) {
            Some((_, slot)) => *slot = Some(given),
            None if has_default && self.overrides.iter().all(|fed| fed.name != name) => self.overrides.push(given),
            None => return Err(Error::Usage(format!("input '{}' is given twice", escape(name)))),
        }
        Ok(())
    }

    /// The inputs, all filled.
    ///
    /// # Errors
    /// [`Error::Usage`] names those that are not.
    pub fn complete(self) -> Result<Vec<Fed>> {
        let missing: Vec<String> = self.open().iter().map(|declared| escape(&declared.name)).collect();
        if missing.is_empty() {
            return Ok(self.slots.into_iter().filter_map(|(_, fed)| fed).chain(self.overrides).collect());
        }
        Err(Error::Usage(format!(
            "nothing is given for input {}; give an image with --preset, or --input, --test-data or --random",
            missing.join(", ")
        )))
    }
}

/// Whether the sizes are those that the model declares; the first one of an open input may count more items than it takes.
fn fits(declared: &Declared, tensor: &Tensor, source: &str, open: bool) -> Result<()> {
    let Some(dims) = &declared.dims else { return Ok(()) };
    let sizes = tensor.shape();
    let same = |(axis, (dim, size)): (usize, (&DeclaredDim, &usize))| match dim {
        DeclaredDim::Size(declared) => declared == size || open && axis == 0,
        DeclaredDim::Open(_) => true,
    };
    if dims.len() == sizes.len() && dims.iter().zip(sizes).enumerate().all(same) {
        return Ok(());
    }
    let (shape, given) = (declared.dims_in_words(), format_shape(sizes));
    let reason = format!("is declared as {shape}, but {source} holds {given}");
    Err(Error::invalid(format!("input '{}'", declared.name), reason))
}

impl std::fmt::Display for Fed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let constant = if self.open { "" } else { ", constant" };
        write!(f, "{} {}, {}{constant}", escape(&self.name), format_shape(self.tensor.shape()), self.source)
    }
}
