//! How many pictures run together where more come and go than are held at once: no answer may depend on which others are there.

use crate::bind::items_apart;
use reluctor::error::{Error, Result};
use reluctor::graph::Graph;
use reluctor::tensor::Shape;
use std::cell::RefCell;
use std::collections::HashMap;

/// Pictures at once where neither the network nor the user says it.
const USUAL: usize = 8;

/// How many pictures run together.
pub struct Together {
    said_by: SaidBy,
    most: usize,
    /// What was found for pictures of a shape.
    found: RefCell<HashMap<Shape, usize>>,
}

/// Who says how many.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SaidBy {
    Model,
    User,
    Nobody,
}

impl Together {
    /// What the model takes, `--batch` says, or is usual.
    ///
    /// # Errors
    /// [`Error::Usage`] where `--batch` contradicts the model.
    pub fn of(fixed: Option<usize>, batch: Option<usize>) -> Result<Self> {
        let (said_by, most) = match (fixed, batch) {
            (Some(fixed), Some(batch)) if fixed != batch => {
                return Err(Error::Usage(format!("--batch contradicts the model, whose batch is {fixed}")));
            }
            (Some(fixed), _) => (SaidBy::Model, fixed.max(1)),
            (None, Some(batch)) => (SaidBy::User, batch),
            (None, None) => (SaidBy::Nobody, USUAL),
        };
        Ok(Together { said_by, most, found: RefCell::default() })
    }

    /// The most of all sizes.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many of a shape: the most, or one where the network mixes them and nobody said how many. `graph` is the network that
    /// takes so many of them as its input of that name.
    ///
    /// # Errors
    /// [`Error::Usage`] where it mixes them otherwise; those of `graph`.
    pub fn of_shape(&self, shape: &[usize], input: &str, graph: impl Fn(usize) -> Result<Graph>) -> Result<usize> {
        let known = self.found.borrow().get(shape).copied();
        if let Some(found) = known {
            return Ok(found);
        }
        let found = if self.most == 1 { 1 } else { self.find(input, graph)? };
        self.found.borrow_mut().insert(shape.to_vec(), found);
        Ok(found)
    }

    fn find(&self, input: &str, graph: impl Fn(usize) -> Result<Graph>) -> Result<usize> {
        let most = self.most;
        let (batch, alone) = (graph(most)?, (self.said_by != SaidBy::Model).then(|| graph(1)).transpose()?);
        let alone = alone.as_ref().map(|graph| (graph, 1));
        let Err(reason) = items_apart((&batch, most), alone, |name| name == input) else { return Ok(most) };
        match self.said_by {
            SaidBy::Nobody => Ok(1),
            SaidBy::User => {
                let instead = "--batch 1 answers each by itself";
                Err(Error::Usage(format!("{reason}, so pictures cannot run {most} at a time: {instead}")))
            }
            SaidBy::Model => Err(Error::Usage(format!(
                "{reason}, and the model takes {most} at once: name these pictures, and no folder, pattern or list of more"
            ))),
        }
    }
}
