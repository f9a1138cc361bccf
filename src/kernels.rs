//! The one list of compute kernels. A [`Variant`] is a kernel with the parts linked to it: all that makes one compiled
//! pipeline differ from another. Linking is concatenation: a constant header, the kernel's file and its parts' files
//! define each WGSL name exactly once, so a missing or doubled part is a plain compile error.

pub mod measures;

use crate::{ops, plan};
use std::fmt;

/// Invocations in each one-dimensional workgroup: a multiple of every known subgroup size, within WebGPU's default limit.
pub const WORKGROUP: u32 = 64;

/// One WGSL file that defines the functions another file calls.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The file's stem: `relu`, `residual_add`, `store_max_pool`.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
}

/// Embeds `shaders/<path>.wgsl` as a [`Part`] named after the file.
#[macro_export]
#[doc(hidden)]
macro_rules! part {
    ($folder:literal, $name:literal) => {
        $crate::kernels::Part {
            name: $name,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $folder, "/", $name, ".wgsl")),
        }
    };
}

/// Declares a kernel's uniform parameters once: a `Pod` struct and the list of its fields, which a test holds against
/// the `Params` struct of the kernel's WGSL.
#[macro_export]
#[doc(hidden)]
macro_rules! uniform {
    ($(#[$doc:meta])* pub struct $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $(#[allow(missing_docs)] pub $field: $type),* }
        impl $name {
            /// Name and byte offset of each field, in order.
            pub const FIELDS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), std::mem::offset_of!($name, $field))),*];
        }
    };
}

/// A compute kernel: one WGSL file with an entry point `main`.
#[derive(Debug)]
pub struct Kernel {
    /// The file's stem, `<op>_<algorithm>`.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
    /// What it shares with other kernels.
    pub includes: &'static [Part],
    /// The fields of its uniform `Params`: name and byte offset.
    pub params: &'static [(&'static str, usize)],
    /// Every combination of parts it can be linked with.
    pub combinations: fn() -> Vec<Vec<Part>>,
}

/// Every kernel there is. What is listed here is validated, tested and benchmarked from this list.
pub static KERNELS: [&Kernel; 35] = [
    &ops::conv::CONV_DIRECT,
    &ops::conv::CONV_TILE,
    &ops::conv::CONV_SUBGROUP,
    &ops::conv::CONV_STEM,
    &ops::conv::CONV_DEPTHWISE,
    &ops::conv::CONV_GEMM,
    &ops::conv::CONV_JOIN,
    &ops::conv::WINOGRAD_TILES,
    &ops::conv::CONV_WINOGRAD,
    &ops::conv::WINOGRAD_RESULTS,
    &ops::conv_transpose::CONV_TRANSPOSE_DIRECT,
    &ops::conv::CONV_TRANSPOSE_PHASES,
    &ops::pool::POOL_WINDOW,
    &ops::pool::POOL_BY_FOUR,
    &ops::max_unpool::MAX_UNPOOL,
    &ops::matmul::MATMUL_TILE,
    &ops::matmul::MATMUL_DIRECT,
    &ops::activate::ACTIVATION_EACH,
    &ops::pairs::BINARY_EACH,
    &ops::batch_normalization::CHANNEL_AFFINE,
    &ops::normalize::ROW_SUMS,
    &ops::normalize::ROW_STATISTICS,
    &ops::normalize::NORMALIZE_ROWS,
    &ops::reduce::REDUCE_ROWS,
    &ops::reduce::REDUCE_EACH,
    &ops::softmax::SOFTMAX_ROWS,
    &ops::strided::COPY_STRIDED,
    &ops::pad::PAD_EACH,
    &ops::resample::RESAMPLE_AXIS,
    &ops::gather::GATHER_AXIS,
    &ops::select::SELECT_EACH,
    &ops::arg_most::ARG_ROWS,
    &ops::top_k::TOP_K,
    &plan::layout::CHANNELS_BY_FOUR,
    &plan::layout::CHANNELS_APART,
];

/// Kernels that compute nothing, but measure what an adapter can do; no plan of a network has them.
pub static MEASURES: [&Kernel; 3] = [&measures::MULTIPLY_ADD, &measures::COPY, &measures::LAUNCH];

/// Every kernel with every combination of parts.
pub fn variants() -> impl Iterator<Item = Variant> {
    KERNELS.iter().flat_map(|&kernel| (kernel.combinations)().into_iter().map(move |parts| Variant { kernel, parts }))
}

/// The same of what measures.
pub fn measures() -> impl Iterator<Item = Variant> {
    MEASURES.iter().map(|&kernel| Variant { kernel, parts: Vec::new() })
}

/// Shared by all kernels.
const GRID: Part = crate::part!("shared", "grid");
const NAN: Part = crate::part!("shared", "nan");

/// How kernels reach four numbers that lie side by side in storage. The bits are the same, and so are the results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Memory {
    /// As a `vec4<f32>`, which is WGSL everywhere.
    #[default]
    Vec4,
    /// As two 64-bit words, which naga takes for devices with 64-bit integers: software adapters load and store word by
    /// word, lane by lane.
    U64,
}

impl Memory {
    /// The part that defines `InMemory`, `from_memory` and `to_memory`.
    const fn part(self) -> Part {
        match self {
            Memory::Vec4 => crate::part!("shared", "memory_vec4"),
            Memory::U64 => crate::part!("shared", "memory_u64"),
        }
    }
}

/// A kernel and its parts. Its `Display` is the pipeline's label and the row's name in every report and test.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The parts linked to it.
    pub parts: Vec<Part>,
}

impl Variant {
    /// The complete WGSL module, for any device.
    pub fn source(&self) -> String {
        self.source_for(Memory::default())
    }

    /// The same for a device whose memory is reached in this way.
    pub fn source_for(&self, memory: Memory) -> String {
        let shared = [GRID, NAN, memory.part()].map(|part| part.source).join("\n");
        format!("// {self}\nconst WORKGROUP: u32 = {WORKGROUP}u;\n\n{shared}\n{}", self.own_source())
    }

    /// The kernel's file, what it includes and its parts: the module without what every module has.
    pub(crate) fn own_source(&self) -> String {
        let parts = self.kernel.includes.iter().chain(&self.parts).map(|part| part.source);
        std::iter::once(self.kernel.source).chain(parts).collect::<Vec<_>>().join("\n")
    }

    /// Whether its text is this crate's own: its kernel is one of [`KERNELS`] or [`MEASURES`], and is linked as that says.
    pub(crate) fn is_listed(&self) -> bool {
        let same = |parts: &Vec<Part>| {
            let pairs = || parts.iter().zip(&self.parts);
            parts.len() == self.parts.len() && pairs().all(|(a, b)| a.name == b.name && a.source == b.source)
        };
        let mut listed = KERNELS.iter().chain(&MEASURES);
        listed.any(|&kernel| std::ptr::eq(kernel, self.kernel)) && (self.kernel.combinations)().iter().any(same)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel.name)?;
        for part in &self.parts {
            write!(f, "+{}", part.name)?;
        }
        Ok(())
    }
}
