//! Gathers and scatters by indices that are known when shapes are bound. Each is one [`Gather`] of single elements: where each
//! element of the result lies among those of the inputs is worked out here.

use super::strided::row_major_strides;
use super::{Concat, Gather, OpResult, Reshape, axis, invalid, unsupported};
use crate::onnx::OnnxNode;
use crate::plan::numbers::MOST_EXACT;
use crate::tensor::{array, row_major_slice};
use ndarray::ArrayD;

/// The indices in a slot, as they are stated: a negative one counts from the end.
fn indices(node: &OnnxNode<'_>, slot: usize) -> OpResult<ArrayD<i64>> {
    Ok(node.constant_input(slot)?.as_int()?.clone())
}

/// `GatherElements`: `out[i, j] = x[index[i, j], j]` along axis 0, and so on.
pub(crate) fn import_gather_elements(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let shape = node.ty(0)?.shape.clone();
    let axis = axis(node.int("axis", 0)?, shape.len())?;
    let indices = indices(node, 1)?;
    let places = element_places(&shape, axis, &indices)?;
    let x = node.input(0)?;
    budget(places.len())?;
    Gather::finish_flat(node, x, places, indices.shape().to_vec())
}

/// `GatherND`: the last dimension of the indices says which element, or slice, of the input.
pub(crate) fn import_gather_nd(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let shape = node.ty(0)?.shape.clone();
    let indices = indices(node, 1)?;
    let batch_dims = node.int("batch_dims", 0)?;
    let Ok(batch) = usize::try_from(batch_dims) else { return invalid(format!("batch_dims is {batch_dims}")) };
    let (outer, depth) = split_indices(&shape, &indices, batch)?;
    let places = slice_places(&shape, &indices, batch)?;
    let result = [&outer[..], &shape[batch + depth..]].concat();
    let x = node.input(0)?;
    budget(places.len())?;
    Gather::finish_flat(node, x, places, result)
}

/// `ScatterElements`, which was `Scatter` before opset 11: the input with `x[index[i, j], j] = update[i, j]` along axis 0.
pub(crate) fn import_scatter_elements(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let shape = node.ty(0)?.shape.clone();
    let axis = axis(node.int("axis", 0)?, shape.len())?;
    let places = element_places(&shape, axis, &indices(node, 1)?)?;
    scatter(node, &shape, &places)
}

/// `ScatterND`: the input with the elements, or slices, that the indices name replaced by the updates.
pub(crate) fn import_scatter_nd(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let shape = node.ty(0)?.shape.clone();
    let places = slice_places(&shape, &indices(node, 1)?, 0)?;
    scatter(node, &shape, &places)
}

/// The input with the elements at `places` replaced by the updates, of which the last one counts where places repeat.
fn scatter(node: &mut OnnxNode<'_>, shape: &[usize], places: &[i64]) -> OpResult<()> {
    let reduction = node.string("reduction", "none")?;
    if reduction != "none" {
        return unsupported(format!("reduction '{reduction}'"));
    }
    let (x, updates) = (node.input(0)?, node.input(2)?);
    let (count, given) = (node.ty(0)?.elements()?, node.ty(2)?.elements()?);
    if given != places.len() {
        return invalid(format!("{given} updates for {} places", places.len()));
    }
    budget(count.saturating_add(given))?;
    let mut from: Vec<i64> = (0..count as i64).collect();
    for (update, &place) in places.iter().enumerate() {
        from[place as usize] = (count + update) as i64;
    }
    let x = node.emit(Reshape { shape: vec![count] }, &[Some(x)])?;
    let updates = node.emit(Reshape { shape: vec![given] }, &[Some(updates)])?;
    let both = node.emit(Concat { axis: 0 }, &[Some(x), Some(updates)])?;
    Gather::finish_flat(node, both, from, shape.to_vec())
}

/// A device has the places as numbers of f32.
fn budget(elements: usize) -> OpResult<()> {
    if elements > MOST_EXACT as usize {
        return unsupported(format!("{elements} elements; the most is {MOST_EXACT}"));
    }
    Ok(())
}

/// The row-major place in a tensor of `shape` of each element that the indices along `axis` name.
fn element_places(shape: &[usize], along: usize, indices: &ArrayD<i64>) -> OpResult<Vec<i64>> {
    let fits = |(at, (&own, &of_indices)): (usize, (&usize, &usize))| at == along || of_indices <= own;
    if indices.ndim() != shape.len() || !shape.iter().zip(indices.shape()).enumerate().all(fits) {
        return invalid(format!("indices of {:?} do not fit {shape:?}", indices.shape()));
    }
    let strides = row_major_strides(shape);
    let place = |(at, &index): (ndarray::IxDyn, &i64)| {
        let index = axis(index, shape[along])?;
        let coordinate = |dim: usize| if dim == along { index } else { at[dim] };
        Ok((0..shape.len()).map(|dim| coordinate(dim) as i64 * strides[dim] as i64).sum())
    };
    indices.indexed_iter().map(|(at, index)| place((at, index))).collect()
}

/// The dimensions of the indices before the last, and how many of the tensor's that one names.
fn split_indices(shape: &[usize], indices: &ArrayD<i64>, batch: usize) -> OpResult<(Vec<usize>, usize)> {
    match indices.shape().split_last() {
        Some((&depth, outer)) if batch + depth <= shape.len() && outer.get(..batch) == shape.get(..batch) => {
            Ok((outer.to_vec(), depth))
        }
        _ => invalid(format!("indices of {:?} do not fit {shape:?}", indices.shape())),
    }
}

/// The row-major place of each element of the slices that the last dimension of the indices names, within each of the
/// first `batch` dimensions by itself.
fn slice_places(shape: &[usize], indices: &ArrayD<i64>, batch: usize) -> OpResult<Vec<i64>> {
    let (outer, depth) = split_indices(shape, indices, batch)?;
    let strides = row_major_strides(shape);
    let slice: usize = shape[batch + depth..].iter().product();
    let in_batch: usize = outer[batch..].iter().product();
    let batch_stride: usize = shape[batch..].iter().product();
    let tuples = array(&[outer.iter().product(), depth], row_major_slice(indices).into_owned())?;
    budget(tuples.rows().into_iter().len().saturating_mul(slice))?;
    let mut places = Vec::new();
    for (row, tuple) in tuples.rows().into_iter().enumerate() {
        let mut start = row / in_batch.max(1) * batch_stride;
        for (dim, &index) in (batch..).zip(tuple) {
            start += axis(index, shape[dim])? * strides[dim] as usize;
        }
        places.extend((start..start + slice).map(|place| place as i64));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], values: &[i64]) -> ArrayD<i64> {
        array(shape, values.to_vec()).unwrap()
    }

    #[test]
    fn elements_lie_where_their_own_coordinates_and_the_index_say() {
        let places = element_places(&[3, 2], 0, &ints(&[2, 2], &[1, -1, 0, 2])).unwrap();
        assert_eq!(places, [2, 5, 0, 5]);
        assert!(element_places(&[3, 2], 0, &ints(&[1, 1], &[3])).is_err());
    }

    #[test]
    fn slices_are_named_by_the_last_dimension_within_each_batch() {
        assert_eq!(slice_places(&[2, 3], &ints(&[2, 1], &[1, 0]), 0).unwrap(), [3, 4, 5, 0, 1, 2]);
        assert_eq!(slice_places(&[2, 3], &ints(&[2, 1], &[1, -1]), 1).unwrap(), [1, 5]);
        assert!(slice_places(&[2, 3], &ints(&[1, 3], &[0, 0, 0]), 0).is_err());
    }
}
