//! Whole outputs, against the unfused network in f64 and against stored ones.

use crate::cases::numbered;
use crate::cli::input_files::file_name;
use crate::compare::{Difference, Tolerance, Verdict, tensor_difference};
use crate::cpu;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::tensor::{Named, Tensor, borrowed};
use serde::Serialize;
use std::path::Path;

/// A device may be off by so many times what f32 on the CPU is off, where that is more than usual: it sums in another order,
/// and its exponentials are others.
const AS_FAR_AS_F32: f64 = 8.0;

/// What one output, or one stored output, says.
#[derive(Serialize)]
pub struct OutputReport {
    pub name: String,
    /// What it is held against: the unfused network in f64, or a file.
    pub against: String,
    #[serde(flatten)]
    pub difference: Difference,
    /// How far f32 on the CPU is off, where the device is off by more than is usual and by no more than that explains.
    pub off_in_f32: Option<OffInF32>,
}

/// How far the unfused network in f32 on the CPU is from the same in f64.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OffInF32 {
    pub max_abs: f64,
    /// Elements out of the usual tolerance.
    pub mismatched: usize,
}

/// What a run must come to.
pub struct Expected<'a> {
    unfused: &'a Graph,
    inputs: &'a Named,
    tolerance: Tolerance,
}

impl<'a> Expected<'a> {
    /// What the unfused network makes of these inputs.
    pub fn of(unfused: &'a Graph, inputs: &'a Named, tolerance: Tolerance) -> Self {
        Expected { unfused, inputs, tolerance }
    }

    /// The whole run against the unfused network in f64. Where rounding alone takes f32 on the CPU as far (what a step rounds
    /// to zero is compared with zero, or large numbers cancel), the device has not computed another function.
    ///
    /// # Errors
    /// Those of [`cpu::Session::run`].
    pub fn judge(&self, computed: &Named) -> Result<Vec<OutputReport>> {
        let wide: Vec<(&str, Tensor<f64>)> =
            self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.cast())).collect();
        let wide: Vec<(&str, &Tensor<f64>)> = wide.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let reference = cpu::Session::<f64>::new(self.unfused).run(&wide)?;
        let mut in_f32: Option<Named> = None;
        let mut reports = Vec::new();
        for (at, ((name, computed), (_, reference))) in computed.iter().zip(&reference).enumerate() {
            let mut report = self.output(name, "the unfused network in f64", computed, reference)?;
            if report.difference.verdict == Verdict::Mismatch && self.tolerance == Tolerance::RoundingBound {
                let in_f32 = match &mut in_f32 {
                    Some(ran) => ran,
                    none => none.insert(cpu::Session::<f32>::new(self.unfused).run(&borrowed(self.inputs))?),
                };
                let off = self.output(name, "", &in_f32[at].1, reference)?.difference;
                if explains(&off, &report.difference, computed) {
                    report.difference.verdict = Verdict::WithinRounding;
                    report.off_in_f32 = Some(OffInF32 { max_abs: off.max_abs, mismatched: off.mismatched });
                }
            }
            reports.push(report);
        }
        Ok(reports)
    }

    /// Against the outputs that are stored in a folder.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are more than the model has, or of another kind or shape.
    pub fn judge_by_files(&self, computed: &Named, folder: &Path) -> Result<Vec<OutputReport>> {
        let stored = numbered(folder, "output")?;
        if stored.len() > computed.len() {
            let reason = format!("holds {} outputs, but the model has {}", stored.len(), computed.len());
            return Err(Error::invalid(folder.display(), reason));
        }
        let pairs = stored.iter().zip(computed);
        pairs
            .map(|((path, stored), (name, computed))| self.output(name, &file_name(path), computed, &stored.cast()))
            .collect()
    }

    /// Over a whole network no tight bound is known; the default allows 1e-3 of the output's range and of each element, and
    /// what devices that flush subnormal numbers lose.
    fn output(&self, name: &str, against: &str, computed: &Tensor, reference: &Tensor<f64>) -> Result<OutputReport> {
        let largest = match reference {
            Tensor::Real(reference) => {
                reference.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()))
            }
            _ => 0.0,
        };
        let allowed = |_, r: f64| 1e-3 * largest + 1e-3 * r.abs() + f64::from(f32::MIN_POSITIVE);
        let difference = tensor_difference(computed, reference, self.tolerance, allowed)
            .map_err(|error| Error::invalid(format!("output '{name}'"), format!("against {against}: {error}")))?;
        Ok(OutputReport { name: name.to_string(), against: against.to_string(), difference, off_in_f32: None })
    }
}

/// Whether what f32 is off explains what the device is off: by the largest error, and of what is no real by their number.
fn explains(in_f32: &Difference, device: &Difference, computed: &Tensor) -> bool {
    match computed {
        Tensor::Real(_) => in_f32.max_abs.is_finite() && device.max_abs <= AS_FAR_AS_F32 * in_f32.max_abs,
        Tensor::Int(_) | Tensor::Bool(_) => device.mismatched as f64 <= AS_FAR_AS_F32 * in_f32.mismatched as f64,
    }
}
