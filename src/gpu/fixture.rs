//! Hand-made plans and one-line kernels: the device layer is tested without an importer, passes or real kernels.

use super::{Choice, Gpu, Options};
use crate::bound::Summation;
use crate::graph::ValueId;
use crate::kernels::{Kernel, Variant, WORKGROUP};
use crate::plan::{Buffer, BufferId, Dispatch, Layout, Output, Plan, Port, Step, View};
use crate::tensor::{Tensor, TensorType};
use std::sync::Arc;

/// The text shared by the test kernels, around the statement that computes element `i`.
macro_rules! wgsl {
    ($more_bindings:literal, $statement:literal) => {
        concat!(
            "struct Params { len: u32, scale: f32 }
            @group(0) @binding(0) var<uniform> p: Params;
            @group(0) @binding(1) var<storage, read_write> output: array<f32>;
            @group(0) @binding(2) var<storage, read> input: array<f32>;
            ",
            $more_bindings,
            "
            @compute @workgroup_size(WORKGROUP)
            fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
                let i = id.x + id.y * groups.x * WORKGROUP;
                if i >= p.len { return; }
                ",
            $statement,
            "
            }"
        )
    };
}

const fn kernel(name: &'static str, source: &'static str) -> Kernel {
    Kernel { name, source, includes: &[], params: &[("len", 0), ("scale", 4)], combinations: || vec![vec![]] }
}

/// output[i] = input[i] * scale
pub(super) static SCALE: Kernel = kernel("test_scale", wgsl!("", "output[i] = input[i] * p.scale;"));

/// output[i] = input[i] * scale + weights[i]
pub(super) static SCALE_ADD: Kernel = kernel(
    "test_scale_add",
    wgsl!(
        "@group(0) @binding(3) var<storage, read> weights: array<f32>;",
        "output[i] = input[i] * p.scale + weights[i];"
    ),
);

/// Does not compile.
pub(super) static BROKEN: Kernel = kernel("test_broken", wgsl!("", "output[i] = undeclared;"));

/// Takes milliseconds at least, on any device.
pub(super) static SLOW: Kernel = kernel(
    "test_slow",
    wgsl!(
        "",
        "var x = input[i];
        for (var j = 0u; j < 60000u; j++) { x = fract(sin(x) * p.scale); }
        output[i] = x;"
    ),
);

/// The best adapter there is: these tests fail, and do not skip, on a machine without one.
pub(super) fn gpu() -> Gpu {
    gpu_with(&Options::default())
}

/// As [`gpu`], with options.
pub(super) fn gpu_with(options: &Options) -> Gpu {
    let opened = Gpu::open(&Choice::Gpu, options)
        .and_then(|gpu| gpu.ok_or_else(|| crate::error::Error::Device("`gpu` fell back to the CPU".to_string())));
    opened.expect("the GPU tests need an adapter: scripts/test installs a software one")
}

/// 1, 2, 3, ...
pub(super) fn ramp(len: usize) -> Tensor {
    Tensor::real(&[len], (1..=len).map(|i| i as f32).collect()).unwrap()
}

/// Input `a`, steps `b` = a * 2 and `c` = b * 3; outputs `c`, the constant `k` = [1, 2] and `c` again.
pub(super) fn chain(kernel: &'static Kernel, len: usize) -> Plan {
    let c = port("c", 2, len);
    Plan {
        buffers: ["a", "b", "c"].map(|label| slot(label, len)).to_vec(),
        steps: vec![step(kernel, "b", 2.0, [0, 1], len), step(kernel, "c", 3.0, [1, 2], len)],
        inputs: vec![port("a", 0, len)],
        outputs: vec![
            Output::Computed(c.clone()),
            Output::Constant("k".to_string(), Arc::new(ramp(2))),
            Output::Computed(c),
        ],
        live_bytes: 8 * len as u64,
        is_trusted: false,
    }
}

/// Input `a`, step `b` = a + weights; output `b`.
pub(super) fn weighted(weights: Vec<f32>) -> Plan {
    let len = weights.len();
    let mut step = step(&SCALE_ADD, "b", 1.0, [0, 1], len);
    step.dispatches[0].inputs.push(view(2, len));
    let contents = Buffer { contents: Some(Arc::new(weights)), ..slot("weights", len) };
    Plan {
        buffers: vec![slot("a", len), slot("b", len), contents],
        steps: vec![step],
        inputs: vec![port("a", 0, len)],
        outputs: vec![Output::Computed(port("b", 1, len))],
        live_bytes: 8 * len as u64,
        is_trusted: false,
    }
}

fn step(kernel: &'static Kernel, name: &str, scale: f32, [from, to]: [usize; 2], len: usize) -> Step {
    let groups = (len as u32).div_ceil(WORKGROUP);
    let dispatch = Dispatch {
        variant: Variant { kernel, parts: vec![] },
        groups: [groups.min(65_535), groups.div_ceil(65_535), 1],
        params: [(len as u32).to_le_bytes(), scale.to_le_bytes()].concat(),
        output: view(to, len),
        inputs: vec![view(from, len)],
        scratch: None,
    };
    Step {
        node: to,
        name: name.to_string(),
        op: "Mul",
        fused: vec![],
        not_fused_because: vec![],
        chosen_because: None,
        summation: Summation::Plain,
        dispatches: vec![dispatch],
        outputs: vec![port(name, to, len)],
        flops: len as u64,
        bytes: len as u64 * 8,
    }
}

fn slot(label: &str, len: usize) -> Buffer {
    Buffer { label: label.to_string(), bytes: len as u64 * 4, contents: None }
}

fn view(buffer: usize, len: usize) -> View {
    View { buffer: BufferId(buffer), offset: 0, bytes: len as u64 * 4 }
}

fn port(name: &str, buffer: usize, len: usize) -> Port {
    let (value, ty, layout) = (ValueId(buffer), TensorType::real([len]), Layout::Plain);
    Port { name: name.to_string(), value, ty, view: view(buffer, len), layout }
}
