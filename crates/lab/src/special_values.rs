//! How a device treats NaN, infinities, negative zero and subnormal numbers, by trying it. WGSL leaves all of that open:
//! an implementation may assume that there are none (W3C, WebGPU Shading Language, "Differences from IEEE-754").
//!
//! What the engine promises is narrower. Activations choose by comparison with a number and never rely on `min` or `max` where
//! a NaN must survive: on a device that [keeps a NaN](SpecialValues::keeps_nan) through that, each gives NaN for NaN and the
//! reference's results for infinities. A maximum or minimum (max pool, ReduceMax, Max) passes a NaN on where the device
//! [tells one](SpecialValues::tells_nan) by its bits: not by `x != x`, which Mesa 22.3's software Vulkan takes for false. A
//! comparison never hides it where a NaN is lost, since a mismatch of kind is always a mismatch. Subnormal results may be
//! flushed to zero anywhere: each bound has a term for that ([`reluctor::bound::FLUSH`]).

use reluctor::bound::Summation;
use reluctor::error::{Error, Result};
use reluctor::gpu::Gpu;
use reluctor::graph::ValueId;
use reluctor::kernels::{Kernel, Variant};
use reluctor::plan::{Buffer, BufferId, Dispatch, Layout, Output, Parts, Plan, Port, Step, View};
use reluctor::tensor::{Tensor, TensorType, row_major_slice};
use reluctor::uniform;
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::fmt;

uniform! {
    /// Parameters of the probe.
    pub struct ProbeParams { count: u32 }
}

static PROBE: Kernel = Kernel {
    name: "special_values",
    source: include_str!("special_values.wgsl"),
    includes: &[],
    params: ProbeParams::FIELDS,
    combinations: || vec![vec![]],
};

const SUBNORMAL: f32 = f32::MIN_POSITIVE / 4.0;

/// What the shader reads, in its order.
const INPUTS: [f32; 9] = [f32::NAN, f32::INFINITY, -0.0, SUBNORMAL, f32::MIN_POSITIVE, 1.0, 0.0, 0.5, f32::INFINITY];

/// What is tried, in the shader's order, and what IEEE 754 says; its functions `min` and `max` come in two kinds.
const TRIED: [(&str, Option<f32>); 21] = [
    ("NaN stored", Some(f32::NAN)),
    ("max(NaN, 1)", None),
    ("max(1, NaN)", None),
    ("min(NaN, 1)", None),
    ("min(1, NaN)", None),
    ("clamp(NaN, 0, 1)", None),
    ("NaN < 1", Some(0.0)),
    ("NaN == NaN", Some(0.0)),
    ("NaN != NaN", Some(1.0)),
    ("select(NaN, 0, NaN < 0)", Some(f32::NAN)),
    ("NaN * 0", Some(f32::NAN)),
    ("infinity * 0", Some(f32::NAN)),
    ("infinity - infinity", Some(f32::NAN)),
    ("1 / 0", Some(f32::INFINITY)),
    ("exp(infinity)", Some(f32::INFINITY)),
    ("-0 stored", Some(-0.0)),
    ("1 / -0", Some(f32::NEG_INFINITY)),
    ("subnormal stored", Some(SUBNORMAL)),
    ("subnormal * 1", Some(SUBNORMAL)),
    ("smallest normal / 2", Some(f32::MIN_POSITIVE / 2.0)),
    ("NaN told by its bits", Some(1.0)),
];

/// One thing that was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// The expression.
    pub tried: &'static str,
    /// What the device made of it.
    pub result: f32,
    /// What IEEE 754 says, where it says one thing.
    pub ieee: Option<f32>,
}

/// All that was tried on a device. In JSON: an object of results by expression.
#[derive(Debug, Clone, PartialEq)]
pub struct SpecialValues(pub Vec<Observation>);

impl Observation {
    /// Whether this is what IEEE 754 says; yes where it leaves a choice.
    pub fn is_ieee(&self) -> bool {
        self.ieee.is_none_or(|ieee| ieee.to_bits() == self.result.to_bits() || (ieee.is_nan() && self.result.is_nan()))
    }
}

impl SpecialValues {
    /// Tries them on a device.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn of(gpu: &Gpu) -> Result<Self> {
        let given = Tensor::real(&[INPUTS.len()], INPUTS.to_vec())?;
        let outputs = gpu.load(&plan())?.run(&[("values", &given)])?;
        let (_, results) = outputs.first().ok_or_else(|| Error::Internal("the probe has an output".to_string()))?;
        let results = row_major_slice(results.as_real()?).into_owned();
        let observation = |(&(tried, ieee), result)| Observation { tried, result, ieee };
        Ok(SpecialValues(TRIED.iter().zip(results).map(observation).collect()))
    }

    /// What the device made of an expression.
    pub fn result(&self, tried: &str) -> Option<f32> {
        self.0.iter().find(|observation| observation.tried == tried).map(|observation| observation.result)
    }

    /// Whether a NaN survives a choice by comparison with a number, as every activation makes it.
    pub fn keeps_nan(&self) -> bool {
        let needed = ["NaN stored", "NaN < 1", "select(NaN, 0, NaN < 0)", "NaN * 0"];
        self.0.iter().filter(|observation| needed.contains(&observation.tried)).all(Observation::is_ieee)
    }

    /// Whether a NaN is told by its bits, as a maximum does that must keep it.
    pub fn tells_nan(&self) -> bool {
        self.result("NaN told by its bits") == Some(1.0)
    }
}

impl fmt::Display for SpecialValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ieee, other): (Vec<&Observation>, Vec<&Observation>) =
            self.0.iter().partition(|observation| observation.is_ieee());
        let list = |observations: &[&Observation]| {
            observations.iter().map(|o| format!("{} = {}", o.tried, o.result)).collect::<Vec<_>>().join(", ")
        };
        let open: Vec<_> = ieee.into_iter().filter(|observation| observation.ieee.is_none()).collect();
        let kept =
            if other.is_empty() { "as IEEE 754".to_string() } else { format!("unlike IEEE 754: {}", list(&other)) };
        write!(f, "{kept}; {}", list(&open))
    }
}

impl Serialize for SpecialValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for Observation { tried, result, .. } in &self.0 {
            // As text: JSON has neither NaN nor infinities.
            map.serialize_entry(tried, &result.to_string())?;
        }
        map.end()
    }
}

/// One dispatch that writes one number for each thing tried.
fn plan() -> Plan {
    let view = |buffer: usize, len: usize| View { buffer: BufferId(buffer), offset: 0, bytes: len as u64 * 4 };
    let slot = |label: &str, len: usize| Buffer { label: label.to_string(), bytes: len as u64 * 4, contents: None };
    let port = |name: &str, buffer: usize, len: usize| Port {
        name: name.to_string(),
        value: ValueId(buffer),
        ty: TensorType::real([len]),
        view: view(buffer, len),
        layout: Layout::Plain,
    };
    let results = port("results", 1, TRIED.len());
    let dispatch = Dispatch {
        variant: Variant { kernel: &PROBE, parts: vec![] },
        groups: [1, 1, 1],
        params: bytemuck::bytes_of(&ProbeParams { count: TRIED.len() as u32 }).to_vec(),
        output: view(1, TRIED.len()),
        inputs: vec![view(0, INPUTS.len())],
        scratch: None,
    };
    let step = Step {
        node: 0,
        name: "special values".to_string(),
        op: "Probe",
        fused: vec![],
        not_fused_because: vec![],
        chosen_because: None,
        summation: Summation::Plain,
        dispatches: vec![dispatch],
        outputs: vec![results.clone()],
        flops: 0,
        bytes: 0,
    };
    // Compiled with bounds checks, as every plan that the engine did not make.
    let parts = Parts {
        buffers: vec![slot("values", INPUTS.len()), slot("results", TRIED.len())],
        steps: vec![step],
        inputs: vec![port("values", 0, INPUTS.len())],
        outputs: vec![Output::Computed(results)],
    };
    Plan::from(parts)
}

const _: () = assert!(TRIED.len() <= reluctor::kernels::WORKGROUP as usize);
