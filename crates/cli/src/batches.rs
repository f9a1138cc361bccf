//! More items than a network takes at once: they run one batch after another, and the outputs are put together again.

use super::feed::Fed;
use ndarray::Axis;
use reluctor::error::{Error, Result, escape};
use reluctor::onnx::{Bindings, Declared, DeclaredDim, Model};
use reluctor::tensor::{Named, Tensor};

/// The batch for pictures of which the network says nothing and the user neither: enough to keep a device busy.
pub const USUAL_BATCH: usize = 100;

/// How the items along the inputs' first dimension are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// How many items there are.
    pub items: usize,
    /// How many the network takes at once.
    pub size: usize,
}

/// What is known of the items.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// `--batch`
    pub batch: Option<usize>,
    /// The batch where nothing says one, of items that the first dimension is known to count (pictures, labelled examples):
    /// it may be cut without being asked to. None where it may not.
    pub usual: Option<usize>,
}

impl Batches {
    /// Decides how to cut the inputs, and binds the model's open shapes to them. Inputs that are not open are the same
    /// in every batch: they become constants.
    ///
    /// # Errors
    /// [`Error::Usage`] where `--batch` contradicts the model.
    pub fn bind(feed: &[Fed], model: &Model, bindings: &mut Bindings, request: Request) -> Result<Self> {
        let declared = model.inputs()?;
        let (real, constant): (Vec<&Fed>, Vec<&Fed>) = feed.iter().partition(|fed| fed.open);
        for fed in constant {
            bindings.constants.insert(fed.name.clone(), fed.tensor.clone());
        }
        let batches = Batches::of(&real, &declared, bindings, request)?;
        for fed in real {
            let mut shape = fed.tensor.shape().to_vec();
            if let Some(first) = shape.first_mut().filter(|_| batches.is_cut()) {
                *first = batches.size;
            }
            bindings.shapes.entry(fed.name.clone()).or_insert(shape);
        }
        Ok(batches)
    }

    fn of(real: &[&Fed], declared: &[Declared], bindings: &Bindings, request: Request) -> Result<Self> {
        let items = real.first().and_then(|fed| fed.tensor.shape().first().copied()).unwrap_or(1);
        let whole = Batches { items, size: items };
        if real.is_empty() || items == 0 || real.iter().any(|fed| fed.tensor.shape().first() != Some(&items)) {
            return Ok(whole);
        }
        let sizes = declared.iter().filter(|declared| real.iter().any(|fed| fed.name == declared.name));
        let size = match sizes.filter_map(|declared| fixed_batch(declared, bindings)).max() {
            Some(fixed) if request.batch.is_some_and(|batch| batch != fixed) => {
                return Err(Error::Usage(format!("--batch contradicts the model, whose batch is {fixed}")));
            }
            Some(fixed) => fixed,
            None => request.batch.or(request.usual.map(|usual| usual.min(items))).unwrap_or(items),
        };
        // Too few items are the user's mistake, unless it is known that more can be made up.
        Ok(if size > 0 && (items > size || request.usual.is_some()) { Batches { items, size } } else { whole })
    }

    /// Whether they are not the network's one batch.
    pub fn is_cut(self) -> bool {
        self.items != self.size
    }

    /// How many runs it takes.
    pub fn count(self) -> usize {
        if self.is_cut() { self.items.div_ceil(self.size) } else { 1 }
    }

    /// The inputs of one run. Where items are short, the last one is repeated.
    pub fn inputs(self, index: usize, feed: &[Fed]) -> Named {
        let open = feed.iter().filter(|fed| fed.open);
        let cut = |tensor: &Tensor| {
            if self.is_cut() { self.batch(index, tensor) } else { tensor.clone() }
        };
        open.map(|fed| (fed.name.clone(), cut(&fed.tensor))).collect()
    }

    fn batch(self, index: usize, tensor: &Tensor) -> Tensor {
        let first = index * self.size;
        let rows: Vec<usize> = (first..first + self.size).map(|row| row.min(self.items - 1)).collect();
        if rows.last() == Some(&(first + self.size - 1)) {
            return tensor.slice_items(first..first + self.size);
        }
        tensor.select_items(&rows)
    }

    /// Appends one run's outputs to those of the runs before, without the items that were made up. What does not depend on the
    /// items is the same in each run, and kept once.
    ///
    /// # Errors
    /// [`Error::Usage`] where an output's first dimension does not count the items.
    pub fn append(
        self,
        joined: &mut Named,
        index: usize,
        outputs: Named,
        is_same: impl Fn(&str) -> bool,
    ) -> Result<()> {
        if !self.is_cut() {
            *joined = outputs;
            return Ok(());
        }
        let kept = self.size.min(self.items - index * self.size);
        for (at, (name, output)) in outputs.into_iter().enumerate() {
            if is_same(&name) {
                if index == 0 {
                    joined.push((name, output));
                }
                continue;
            }
            if output.shape().first() != Some(&self.size) {
                let output = escape(&name);
                let message = format!("output '{output}' has no batch dimension, so the items cannot run in batches");
                return Err(Error::Usage(message));
            }
            let output = output.slice_items(0..kept);
            match joined.get_mut(at) {
                Some((_, before)) => extend(before, &output)?,
                None => joined.push((name, output)),
            }
        }
        Ok(())
    }
}

/// The size of the first dimension where the model or `--shape` fixes it.
fn fixed_batch(declared: &Declared, bindings: &Bindings) -> Option<usize> {
    if let Some(shape) = bindings.shapes.get(&declared.name) {
        return shape.first().copied();
    }
    match declared.dims.as_ref()?.first()? {
        DeclaredDim::Size(size) => Some(*size),
        DeclaredDim::Open(name) => bindings.dims.get(name).copied(),
    }
}

fn extend(tensor: &mut Tensor, more: &Tensor) -> Result<()> {
    let extended = match (tensor, more) {
        (Tensor::Real(array), Tensor::Real(more)) => array.append(Axis(0), more.view()),
        (Tensor::Int(array), Tensor::Int(more)) => array.append(Axis(0), more.view()),
        (Tensor::Bool(array), Tensor::Bool(more)) => array.append(Axis(0), more.view()),
        _ => return Err(Error::Internal("an output changed its kind between batches".to_string())),
    };
    extended.map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::element::Element;

    fn feed(items: usize) -> Vec<Fed> {
        let tensor = Tensor::real(&[items, 2], (0..2 * items).map(|x| x as f32).collect()).unwrap();
        vec![Fed { name: "x".to_string(), tensor, source: String::new(), open: true }]
    }

    fn cut(first: DeclaredDim, items: usize, batch: Option<usize>, is_counted: bool) -> Result<Batches> {
        let dims = Some(vec![first, DeclaredDim::Size(2)]);
        let declared = [Declared { name: "x".to_string(), element: Element::F32, dims }];
        let (feed, usual) = (feed(items), is_counted.then_some(USUAL_BATCH));
        Batches::of(&feed.iter().collect::<Vec<_>>(), &declared, &Bindings::default(), Request { batch, usual })
    }

    fn open() -> DeclaredDim {
        DeclaredDim::Open("N".to_string())
    }

    #[test]
    fn only_what_is_known_to_be_items_is_cut_unasked() {
        assert_eq!(cut(open(), 250, None, false).unwrap(), Batches { items: 250, size: 250 });
        assert_eq!(cut(open(), 250, None, true).unwrap(), Batches { items: 250, size: 100 });
        assert_eq!(cut(open(), 12, None, true).unwrap(), Batches { items: 12, size: 12 });
        assert_eq!(cut(open(), 250, Some(7), false).unwrap(), Batches { items: 250, size: 7 });
    }

    #[test]
    fn a_fixed_batch_is_kept() {
        assert_eq!(cut(DeclaredDim::Size(4), 10, None, false).unwrap(), Batches { items: 10, size: 4 });
        assert_eq!(cut(DeclaredDim::Size(4), 1, None, true).unwrap(), Batches { items: 1, size: 4 });
        // The model will say what is wrong with a batch of 1.
        assert_eq!(cut(DeclaredDim::Size(4), 1, None, false).unwrap(), Batches { items: 1, size: 1 });
        assert!(matches!(cut(DeclaredDim::Size(4), 10, Some(5), false), Err(Error::Usage(_))));
    }

    #[test]
    fn items_come_back_in_order_and_once_each() {
        let feed = feed(7);
        let batches = Batches { items: 7, size: 3 };
        let mut joined = Named::new();
        for index in 0..batches.count() {
            let inputs = batches.inputs(index, &feed);
            assert_eq!(inputs[0].1.shape(), [3, 2]);
            batches.append(&mut joined, index, inputs, |_| false).unwrap();
        }
        assert_eq!(joined[0].1, feed[0].tensor);
    }

    #[test]
    fn an_output_without_a_batch_dimension_cannot_be_put_together() {
        let output = vec![("mean".to_string(), Tensor::real(&[1], vec![0.0]).unwrap())];
        let appended = Batches { items: 7, size: 3 }.append(&mut Named::new(), 0, output, |_| false);
        assert!(matches!(appended, Err(Error::Usage(_))));
    }
}
