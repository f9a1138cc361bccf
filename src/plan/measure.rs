//! Plans that compute nothing, but measure what an adapter can do. Made here, where the planner's own promise holds: each names
//! a buffer that is as large as its kernel's parameters say, so its kernels run without bounds checks.

use super::{Buffer, BufferId, Dispatch, Limits, Plan, Step, View};
use crate::bound::Summation;
use crate::kernels::measures::{
    COPY, CopyParams, FLOPS_A_ROUND, LAUNCH, LaunchParams, MULTIPLY_ADD, MultiplyAddParams,
};
use crate::kernels::{Kernel, Variant, WORKGROUP};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Chains of multiply-adds in registers: so many rounds in each of so many workgroups.
    MultiplyAdd {
        /// Workgroups of [`WORKGROUP`] invocations.
        groups: u32,
        /// Rounds of each invocation; no more than [`Limits::max_loop_iterations`] are made.
        rounds: u32,
    },
    /// A copy between two buffers of so many bytes, rounded down to a whole number of workgroups, of which there is at least one.
    Copy {
        /// Bytes of each side.
        bytes: usize,
    },
    /// Next to nothing.
    Launch,
}

/// Bytes that an invocation of the copy moves.
const COPIED: usize = 16;

impl Measure {
    /// Flops of one dispatch.
    pub fn flops(self) -> u64 {
        match self {
            Measure::MultiplyAdd { groups, rounds } => {
                u64::from(groups) * u64::from(WORKGROUP) * u64::from(rounds) * FLOPS_A_ROUND
            }
            Measure::Copy { .. } | Measure::Launch => 0,
        }
    }

    /// A plan of so many dispatches of it, without inputs or outputs of the caller's.
    pub fn plan(self, times: usize, limits: &Limits) -> Plan {
        let most = limits.max_compute_workgroups_per_dimension;
        match self {
            Measure::MultiplyAdd { groups, rounds } => {
                let rounds = rounds.min(limits.max_loop_iterations);
                let params = MultiplyAddParams { rounds, factor: 0.999, addend: 0.5 };
                repeated(
                    &MULTIPLY_ADD,
                    bytemuck::bytes_of(&params),
                    [groups.clamp(1, most), 1, 1],
                    COPIED as u64,
                    times,
                )
            }
            Measure::Copy { bytes } => {
                let fits = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
                let bytes = bytes.min(usize::try_from(fits).unwrap_or(usize::MAX));
                let groups = u32::try_from(bytes / COPIED / WORKGROUP as usize).unwrap_or(u32::MAX).max(1);
                let grid = [groups.min(most), groups.div_ceil(most), 1];
                let count = groups * WORKGROUP;
                let params = CopyParams { count };
                repeated(&COPY, bytemuck::bytes_of(&params), grid, u64::from(count) * COPIED as u64, times)
            }
            Measure::Launch => {
                let params = LaunchParams { value: 1.0 };
                repeated(&LAUNCH, bytemuck::bytes_of(&params), [1, 1, 1], COPIED as u64, times)
            }
        }
    }
}

fn repeated(kernel: &'static Kernel, params: &[u8], groups: [u32; 3], bytes: u64, times: usize) -> Plan {
    let buffer = |label: &str| Buffer { label: label.to_string(), bytes, contents: None };
    let view = |buffer| View { buffer: BufferId(buffer), offset: 0, bytes };
    let inputs = if std::ptr::eq(kernel, &COPY) { vec![view(1)] } else { Vec::new() };
    let variant = Variant { kernel, parts: Vec::new() };
    let dispatch = Dispatch { variant, groups, params: params.to_vec(), output: view(0), inputs, scratch: None };
    let step = |node: usize| Step {
        node,
        name: kernel.name.to_string(),
        op: "measure",
        fused: Vec::new(),
        not_fused_because: Vec::new(),
        chosen_because: None,
        summation: Summation::Plain,
        dispatches: vec![dispatch.clone()],
        outputs: Vec::new(),
        flops: 0,
        bytes: 0,
    };
    Plan {
        buffers: vec![buffer("output"), buffer("input")],
        steps: (0..times).map(step).collect(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        live_bytes: 2 * bytes,
        is_trusted: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stays_within_its_buffers_and_the_device_s_limits() {
        for (bytes, binding) in [(0, 1 << 20), (5_000, 1 << 20), (1 << 30, 1 << 20), (64 << 20, 1 << 30)] {
            let limits = Limits { max_storage_buffer_binding_size: binding, ..Limits::default() };
            let plan = Measure::Copy { bytes }.plan(3, &limits);
            assert_eq!(plan.steps.len(), 3);
            let dispatch = &plan.steps[0].dispatches[0];
            let count = u64::from(bytemuck::pod_read_unaligned::<u32>(&dispatch.params[..4]));
            for view in dispatch.views() {
                assert!(count * 16 <= view.bytes && view.bytes <= binding.min(limits.max_buffer_size), "{bytes}");
                assert!(view.bytes <= plan.buffers[view.buffer.0].bytes);
            }
        }
    }
}
