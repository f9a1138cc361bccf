//! Whole outputs, against the unfused network in f64 and against stored ones.

use crate::input_files::file_name;
use reluctor::cpu;
use reluctor::error::{Error, Result};
use reluctor::graph::Graph;
use reluctor::tensor::{Named, Tensor, borrowed};
use reluctor_lab::cases::numbered;
use reluctor_lab::compare::{Difference, Tolerance, Verdict, is_amplified_rounding, tensor_difference};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What one output, or one stored output, says.
#[derive(Serialize)]
pub struct OutputReport {
    pub name: String,
    /// What it is held against: the unfused network in f64, or a file.
    pub against: String,
    #[serde(flatten)]
    pub difference: Difference,
    /// How far f32 on the CPU is off, where that explains why the device is out of tolerance: [`is_amplified_rounding`].
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

    /// The whole run against the unfused network in f64. Where all layers are right and rounding alone takes f32 on the CPU
    /// as far (what a step rounds to zero is compared with zero, or large numbers cancel), the device has not computed another
    /// function.
    ///
    /// # Errors
    /// Those of [`cpu::Session::run`].
    pub fn judge(&self, computed: &Named, layers_are_right: bool) -> Result<Vec<OutputReport>> {
        let wide: Vec<(&str, Tensor<f64>)> =
            self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.cast())).collect();
        let wide: Vec<(&str, &Tensor<f64>)> = wide.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let reference = cpu::Session::<f64>::new(self.unfused).run(&wide)?;
        let mut reports = Vec::new();
        for ((name, computed), (_, reference)) in computed.iter().zip(&reference) {
            let difference = self.difference(name, computed, reference)?;
            let against = "the unfused network in f64".to_string();
            reports.push(OutputReport { name: name.clone(), against, difference, off_in_f32: None });
        }
        let is_mismatch = |report: &OutputReport| report.difference.verdict == Verdict::Mismatch;
        if layers_are_right && self.tolerance == Tolerance::RoundingBound && reports.iter().any(is_mismatch) {
            let in_f32 = cpu::Session::<f32>::new(self.unfused).run(&borrowed(self.inputs))?;
            let tensors = computed.iter().zip(&in_f32).zip(&reference);
            for (report, (((name, computed), (_, in_f32)), (_, reference))) in reports.iter_mut().zip(tensors) {
                let off = self.difference(name, in_f32, reference)?;
                let found = (computed, &report.difference);
                if is_mismatch(report) && is_amplified_rounding(found, (in_f32, &off), reference) {
                    report.difference.verdict = Verdict::WithinRounding;
                    report.off_in_f32 = Some(OffInF32 { max_abs: off.max_abs, mismatched: off.mismatched });
                }
            }
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
        let report = |((path, stored), (name, computed)): (&(PathBuf, Tensor), &(String, Tensor))| {
            let (against, stored) = (file_name(path), stored.cast());
            let difference =
                self.difference(name, computed, &stored).map_err(|error| error_against(error, &against))?;
            Ok(OutputReport { name: name.clone(), against, difference, off_in_f32: None })
        };
        stored.iter().zip(computed).map(report).collect()
    }

    /// Over a whole network no tight bound is known; the default allows 1e-3 of the output's range and of each element, and
    /// what devices that flush subnormal numbers lose.
    fn difference(&self, name: &str, computed: &Tensor, reference: &Tensor<f64>) -> Result<Difference> {
        let largest = match reference {
            Tensor::Real(reference) => {
                reference.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()))
            }
            _ => 0.0,
        };
        let allowed = |_, r: f64| 1e-3 * largest + 1e-3 * r.abs() + f64::from(f32::MIN_POSITIVE);
        tensor_difference(computed, reference, self.tolerance, allowed)
            .map_err(|error| Error::invalid(format!("output '{name}'"), error.to_string()))
    }
}

/// The file that an output could not be held against.
fn error_against(error: Error, file: &str) -> Error {
    match error {
        Error::Invalid { culprit, reason } => Error::Invalid { culprit, reason: format!("against {file}: {reason}") },
        other => other,
    }
}
