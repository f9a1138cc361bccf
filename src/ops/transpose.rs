//! Dimensions in another order.

use super::strided::{Walk, copy, row_major_strides};
use super::{Inputs, OpResult, Operator, Restricted, invalid, required};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::tensor::{Real, Tensor, TensorType, each_kind};
use std::ops::Range;

/// Dimension i of the output is dimension `permutation[i]` of the input. Source: ONNX, operator Transpose.
#[derive(Debug, Clone)]
pub struct Transpose {
    /// Each dimension of the input once.
    pub permutation: Vec<usize>,
}

impl Transpose {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let rank = node.ty(0)?.shape.len();
        let permutation = match node.ints("perm")? {
            None => (0..rank).rev().collect(),
            Some(stated) => stated.iter().map(|&axis| super::axis(axis, rank)).collect::<OpResult<Vec<_>>>()?,
        };
        node.finish(Transpose { permutation }, &[0])
    }

    /// `DepthToSpace`: channels become `block` by `block` pixels, as a six-dimensional transposition between two reshapes.
    pub(crate) fn import_depth_to_space(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let [n, c, h, w] = super::image_shape(&[Some(node.ty(0)?)], 0)?;
        let block = super::conv::positive("blocksize", node.int("blocksize", 0)?)?;
        let Some(depth) = block.checked_mul(block).filter(|square| c % square == 0).map(|square| c / square) else {
            return invalid(format!("{c} channels are no multiple of blocksize {block} squared"));
        };
        let (split, permutation) = match node.string("mode", "DCR")?.as_str() {
            "DCR" => (vec![n, block, block, depth, h, w], vec![0, 3, 4, 1, 5, 2]),
            "CRD" => (vec![n, depth, block, block, h, w], vec![0, 1, 4, 2, 5, 3]),
            other => return invalid(format!("mode '{other}' is neither DCR nor CRD")),
        };
        let input = node.input(0)?;
        let blocks = node.emit(super::Reshape { shape: split }, &[Some(input)])?;
        let pixels = node.emit(Transpose { permutation }, &[Some(blocks)])?;
        node.finish_with(super::Reshape { shape: vec![n, depth, h * block, w * block] }, &[Some(pixels)])
    }

    /// `SpaceToDepth`: `block` by `block` pixels become channels.
    pub(crate) fn import_space_to_depth(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let [n, c, h, w] = super::image_shape(&[Some(node.ty(0)?)], 0)?;
        let block = super::conv::positive("blocksize", node.int("blocksize", 0)?)?;
        if h % block != 0 || w % block != 0 {
            return invalid(format!("an image of {h}x{w} is no multiple of blocksize {block}"));
        }
        let [rows, columns] = [h / block, w / block];
        let input = node.input(0)?;
        let blocks = node.emit(super::Reshape { shape: vec![n, c, rows, block, columns, block] }, &[Some(input)])?;
        let channels = node.emit(Transpose { permutation: vec![0, 3, 5, 1, 2, 4] }, &[Some(blocks)])?;
        // More channels than memory has elements are refused where the shape is inferred.
        let depth = c.saturating_mul(block).saturating_mul(block);
        node.finish_with(super::Reshape { shape: vec![n, depth, rows, columns] }, &[Some(channels)])
    }
}

impl Operator for Transpose {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        let mut seen = vec![false; ty.shape.len()];
        for &axis in &self.permutation {
            if axis >= seen.len() || std::mem::replace(&mut seen[axis], true) {
                return invalid(format!("perm {:?} is no permutation of {} axes", self.permutation, ty.shape.len()));
            }
        }
        if seen.contains(&false) {
            return invalid(format!("perm {:?} leaves out an axis of {ty}", self.permutation));
        }
        let shape = self.permutation.iter().map(|&axis| ty.shape[axis]).collect();
        Ok(vec![TensorType { kind: ty.kind, shape }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let permuted = each_kind!(required(inputs, 0)?, array => {
            array.view().permuted_axes(self.permutation.clone()).as_standard_layout().into_owned()
        });
        Ok(vec![permuted])
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        Some(Restricted::along(self.clone(), 1, range, |_| Some(self.permutation[axis])))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let own = row_major_strides(&required(&node.input_types(), 0)?.shape);
        let strides: Vec<isize> = self.permutation.iter().map(|&axis| own[axis]).collect();
        let shape = node.output_type(0).shape.clone();
        let from = Walk { view: node.input(0)?, offset: 0, strides: &strides };
        let to = Walk { view: node.output(0)?, offset: 0, strides: &row_major_strides(&shape) };
        copy(node, &shape, from, to)
    }
}
