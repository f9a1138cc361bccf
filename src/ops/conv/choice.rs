//! Which kernel computes a convolution, with which tile: the one place where this is decided.

use super::{ConvShape, depthwise, gemm, row_major, stem, subgroup, winograd};
use crate::kernels::Kernel;
use crate::ops::epilogue::{Epilogue, parts};
use crate::ops::window::{Pads, Window};
use crate::ops::{OpResult, PoolKind};
use crate::plan::layout::CHANNELS;
use crate::plan::{Limits, Lowering};

/// One way to compute one convolution on a device.
pub struct Candidate {
    /// The kernel and its tile, `conv_gemm 64x64`: unique among a convolution's candidates.
    pub name: String,
    /// An estimate of its time, to be compared with those of the same kernel's other candidates only.
    pub cost: f64,
    /// Where a pool happens.
    pub pooling: Pooling,
    lower: Box<Lower>,
}

type Lower = dyn Fn(&mut Lowering<'_>, &ConvShape, &Epilogue) -> OpResult<()>;

impl Candidate {
    pub(super) fn new(
        name: impl Into<String>,
        cost: f64,
        pooling: Pooling,
        lower: impl Fn(&mut Lowering<'_>, &ConvShape, &Epilogue) -> OpResult<()> + 'static,
    ) -> Self {
        Candidate { name: name.into(), cost, pooling, lower: Box::new(lower) }
    }

    /// Appends its dispatches.
    pub(super) fn lower(&self, node: &mut Lowering<'_>, shape: &ConvShape, epilogue: &Epilogue) -> OpResult<()> {
        (self.lower)(node, shape, epilogue)
    }
}

/// Where the pool of an epilogue happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// In the dispatch that convolves.
    InPlace,
    /// In a dispatch behind it, which reads the sums that it left in scratch memory. Or there is no pool.
    Behind,
}

impl Pooling {
    /// A candidate's name with it.
    pub(super) fn named(self, name: String) -> String {
        if self == Pooling::InPlace { name + " pooled" } else { name }
    }
}

/// What a vec4 load costs on software adapters in units of a multiply-add; on lavapipe it is as much as 100 to 200 of them.
pub(super) const VEC4_LOAD: f64 = 100.0;

/// A convolution that is to be computed, and on what.
pub struct Problem<'a> {
    /// All sizes.
    pub shape: &'a ConvShape,
    /// What happens to each sum.
    pub epilogue: &'a Epilogue,
    /// Whether a residual is added.
    pub residual: bool,
    /// The device.
    pub limits: &'a Limits,
}

impl Problem<'_> {
    /// The part of the result that a pool covers whose windows are 2x2, do not overlap and lie inside the image: kernels can
    /// have all of a window in registers without computing anything twice. Under the usual activations, without a residual:
    /// what is compiled for them.
    pub(super) fn quartered(&self) -> Option<ConvShape> {
        let halves = Window { kernel: [2, 2], stride: [2, 2], ..Window::pointwise() };
        let [out_h, out_w] = self.shape.out;
        let pool = self.epilogue.pool.as_ref()?;
        if self.residual || !parts::is_most_usual(&self.epilogue.activation) {
            return None;
        }
        let Pads { top, left, .. } = pool.window.pads;
        let [_, _, h, w] = pool.output_shape([1, 1, out_h, out_w]).ok()?;
        let fits = Window { pads: Pads::default(), ..pool.window } == halves
            && [top, left] == [0, 0]
            && 2 * h <= out_h
            && 2 * w <= out_w;
        fits.then_some(ConvShape { out: [2 * h, 2 * w], ..*self.shape })
    }

    /// What a dispatch for the pool costs on a software adapter, in multiply-adds and spread over the products of the
    /// convolution: each vec4 is stored once before the pool, and loaded by each window that it lies in.
    pub(super) fn pool_behind(&self) -> f64 {
        let Some(pool) = &self.epilogue.pool else { return 0.0 };
        let [_, _, h, w] = self.shape.output();
        let [_, _, pooled_h, pooled_w] = pool.output_shape([1, 1, h, w]).unwrap_or_default();
        let loads = (pooled_h * pooled_w * pool.taps()) as f64 / (h * w).max(1) as f64;
        VEC4_LOAD * (1.0 + loads) / (CHANNELS * self.shape.terms().max(1)) as f64
    }

    /// What tells convolutions apart that may be fastest with different candidates. Not weights, nor the numbers that an
    /// activation takes.
    pub fn key(&self) -> String {
        let ConvShape { batch, in_c, image: [h, w], out_c, groups, window, .. } = self.shape;
        let Window { kernel: [k_h, k_w], stride, dilation, pads } = window;
        let [(s_h, s_w), (d_h, d_w)] = [stride, dilation].map(|[h, w]| (h, w));
        let Pads { top, left, bottom, right } = pads;
        let act = self.epilogue.activation.name();
        let residual = if self.residual { ",residual" } else { "" };
        let pool = self.epilogue.pool.as_ref().map_or(String::new(), |pool| {
            let Window { kernel: [k_h, k_w], stride: [s_h, s_w], .. } = pool.window;
            let kind = if pool.kind == PoolKind::Max { "max" } else { "average" };
            format!(",pool={kind}{k_h}x{k_w}s{s_h}x{s_w}")
        });
        format!(
            "{batch}x{in_c}x{h}x{w},{out_c}x{k_h}x{k_w},s{s_h}x{s_w},p{top}x{left}x{bottom}x{right},d{d_h}x{d_w},g{groups},\
             act={act}{residual}{pool}"
        )
    }
}

/// One kernel for convolutions.
pub struct Family {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Why devices of this kind should not use it, where another one fits.
    suits: fn(&Limits) -> Result<(), &'static str>,
    /// Why it should not compute this convolution, where it could and suits the device.
    pays: fn(&Problem<'_>) -> Result<(), String>,
    /// Its candidates, or why it cannot compute this convolution.
    candidates: fn(&Problem<'_>) -> Result<Vec<Candidate>, String>,
}

impl Family {
    /// Whether this is the kernel of that name, or of the candidate of that name.
    pub fn is_named(&self, name: &str) -> bool {
        name.split(' ').next() == Some(self.kernel.name)
    }

    /// Its candidates, or why it cannot compute this convolution. Results without elements are for the family that fits everything.
    fn candidates_of(&self, problem: &Problem<'_>) -> Result<Vec<Candidate>, String> {
        if problem.shape.is_empty() && self.kernel.name != super::CONV_DIRECT.name {
            return Err("there is nothing to compute".to_string());
        }
        (self.candidates)(problem)
    }
}

const ALWAYS: fn(&Problem<'_>) -> Result<(), String> = |_| Ok(());
const EVERY_DEVICE: fn(&Limits) -> Result<(), &'static str> = |_| Ok(());

/// Every family, the most wanted first. The last one fits every convolution.
pub static FAMILIES: [Family; 7] = [
    Family { kernel: &super::CONV_DEPTHWISE, suits: among_its_kind, pays: ALWAYS, candidates: depthwise::candidates },
    Family { kernel: &super::CONV_STEM, suits: loads_cost_most, pays: ALWAYS, candidates: stem::candidates },
    Family {
        kernel: &super::CONV_WINOGRAD,
        suits: EVERY_DEVICE,
        pays: winograd::pays,
        candidates: winograd::candidates,
    },
    Family { kernel: &super::CONV_SUBGROUP, suits: loads_cost_most, pays: ALWAYS, candidates: subgroup::candidates },
    Family { kernel: &super::CONV_GEMM, suits: has_workgroup_memory, pays: ALWAYS, candidates: gemm::candidates },
    Family { kernel: &super::CONV_TILE, suits: EVERY_DEVICE, pays: ALWAYS, candidates: row_major::tile_candidates },
    Family { kernel: &super::CONV_DIRECT, suits: EVERY_DEVICE, pays: ALWAYS, candidates: row_major::direct_candidates },
];

fn loads_cost_most(limits: &Limits) -> Result<(), &'static str> {
    if limits.software { Ok(()) } else { Err("it is for software adapters") }
}

fn has_workgroup_memory(limits: &Limits) -> Result<(), &'static str> {
    if limits.software { Err("workgroup memory gains nothing on a software adapter") } else { Ok(()) }
}

/// Where its neighbours would lie row-major, two copies would cost more than it gains.
fn among_its_kind(limits: &Limits) -> Result<(), &'static str> {
    if limits.software && limits.subgroup_lanes as usize != subgroup::LANES {
        return Err("images lie row-major on this adapter");
    }
    Ok(())
}

/// A candidate, and why it was taken.
pub struct Choice {
    /// What runs.
    pub candidate: Candidate,
    /// One sentence for `plan --explain`.
    pub because: String,
}

/// The kernel that was asked for, which needs only to fit, or the last family where it does not; else what was measured to
/// be the fastest; else what the rule says: the cheapest candidate of the first family that suits the device and fits.
pub fn choose(problem: &Problem<'_>) -> Choice {
    let limits = problem.limits;
    if let Some(name) = &limits.conv_kernel {
        return match named(problem, name) {
            Some(candidate) => Choice { because: format!("{} was asked for", candidate.name), candidate },
            None => by_rule(problem, &FAMILIES[FAMILIES.len() - 1..], vec![format!("{name} does not fit")]),
        };
    }
    if !limits.tuned.is_empty()
        && let Some(name) = limits.tuned.get(&problem.key())
        && let Some(candidate) = named(problem, name)
    {
        return Choice { because: format!("{} was the fastest when it was measured", candidate.name), candidate };
    }
    by_rule(problem, &FAMILIES, Vec::new())
}

/// Candidates of one family that are worth a measurement.
const TRIED_OF_EACH: usize = 4;

/// The names of the candidates that may be the fastest, the rule's choice first: the cheapest of each family that suits the
/// device and fits. The family that fits everything is one of them only where there is no other.
pub fn worth_a_try(problem: &Problem<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for family in &FAMILIES[..FAMILIES.len() - 1] {
        if (family.suits)(problem.limits).is_ok()
            && let Ok(mut candidates) = family.candidates_of(problem)
        {
            candidates.sort_by(|a, b| a.cost.total_cmp(&b.cost));
            names.extend(candidates.into_iter().take(TRIED_OF_EACH).map(|candidate| candidate.name));
        }
    }
    names
}

fn by_rule(problem: &Problem<'_>, families: &[Family], mut passed_over: Vec<String>) -> Choice {
    for family in families {
        let suits = (family.suits)(problem.limits).map_err(str::to_string);
        let fits = suits.and_then(|()| family.candidates_of(problem));
        match fits.and_then(|candidates| (family.pays)(problem).map(|()| candidates)) {
            Ok(candidates) => {
                let count = candidates.len();
                let candidate = cheapest(candidates).expect("a family that fits has a candidate");
                let of = match count {
                    1 => "fits".to_string(),
                    _ => format!("costs least of {count} that fit"),
                };
                let pool = match (&problem.epilogue.pool, candidate.pooling) {
                    (None, _) => "",
                    (Some(_), Pooling::InPlace) => ", its pool in the same dispatch",
                    (Some(_), Pooling::Behind) => ", its pool in a dispatch of its own",
                };
                let because = format!("{} {of}{pool}", candidate.name);
                passed_over.insert(0, because);
                return Choice { candidate, because: passed_over.join("; ") };
            }
            Err(reason) => passed_over.push(format!("not {}: {reason}", family.kernel.name)),
        }
    }
    unreachable!("the last family fits every convolution")
}

/// The cheapest of a kernel's candidates, or the one with a kernel's and a tile's name, where it fits.
fn named(problem: &Problem<'_>, name: &str) -> Option<Candidate> {
    let family = FAMILIES.iter().find(|family| family.is_named(name))?;
    let mut candidates = family.candidates_of(problem).ok()?;
    candidates.retain(|candidate| name == family.kernel.name || name == candidate.name);
    cheapest(candidates)
}

/// The first of those that cost least.
fn cheapest(candidates: Vec<Candidate>) -> Option<Candidate> {
    candidates.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Activation, Pool};

    fn shape(in_c: usize, image: usize, groups: usize) -> ConvShape {
        let window = Window { kernel: [3, 3], ..Window::pointwise() };
        ConvShape { batch: 1, in_c, image: [image + 2; 2], out_c: 64, out: [image; 2], groups, window }
    }

    fn chosen(limits: &Limits, groups: usize) -> Choice {
        let shape = shape(64, 56, groups);
        choose(&Problem { shape: &shape, epilogue: &Epilogue::default(), residual: false, limits })
    }

    /// Under a pool of maxima.
    fn pooled(shape: &ConvShape, limits: &Limits, [kernel, stride]: [usize; 2], activation: Activation) -> Choice {
        let window = Window { kernel: [kernel; 2], stride: [stride; 2], ..Window::pointwise() };
        let pool = Some(Pool { kind: PoolKind::Max, window, ceil: false });
        let epilogue = Epilogue { activation, pool, ..Epilogue::default() };
        choose(&Problem { shape, epilogue: &epilogue, residual: false, limits })
    }

    #[test]
    fn a_pool_is_where_it_costs_least() {
        let software = Limits { software: true, subgroup_lanes: 8, ..Limits::default() };
        let strided = Window { stride: [2, 2], ..shape(3, 56, 1).window };
        let stem = ConvShape { window: strided, image: [113; 2], ..shape(3, 56, 1) };
        let name = |shape: &ConvShape, limits: &Limits, pool| {
            let choice = pooled(shape, limits, pool, Activation::Relu);
            let in_place = choice.candidate.pooling == Pooling::InPlace;
            assert!(
                choice.because.contains(if in_place { "the same dispatch" } else { "its own" }),
                "{}",
                choice.because
            );
            choice.candidate.name
        };
        let plain = Limits { plain_sums: true, ..software.clone() };
        assert_eq!(name(&shape(64, 56, 1), &plain, [2, 2]), "conv_subgroup strip_3x8x16 pooled");
        // Strips of 8 would compute a seventh in vain.
        assert_eq!(name(&shape(64, 28, 1), &plain, [2, 2]), "conv_subgroup strip_3x7x16");
        assert_eq!(name(&shape(64, 56, 1), &plain, [3, 2]), "conv_subgroup strip_3x7x16");
        assert_eq!(name(&shape(64, 56, 1), &software, [2, 2]), "conv_winograd strip_of_tiles_4x32 pooled");
        assert_eq!(name(&shape(64, 56, 64), &software, [2, 2]), "conv_depthwise row_3s1 pooled");
        assert_eq!(name(&shape(64, 56, 64), &software, [3, 2]), "conv_depthwise row_3s1");
        assert_eq!(name(&shape(3, 56, 1), &software, [2, 2]), "conv_stem row_3s1 pooled");
        assert_eq!(name(&stem, &software, [3, 2]), "conv_stem row_3s2_max3s2");
        assert!(name(&shape(64, 56, 1), &Limits::default(), [2, 2]).ends_with(" pooled"));
    }

    #[test]
    fn maxima_of_sums_are_those_of_results_under_activations_that_never_decrease() {
        let software = Limits { software: true, subgroup_lanes: 8, ..Limits::default() };
        let window = Window { stride: [2, 2], ..shape(3, 56, 1).window };
        let stem = ConvShape { window, image: [113; 2], ..shape(3, 56, 1) };
        let in_place = |activation| pooled(&stem, &software, [3, 2], activation).candidate.pooling == Pooling::InPlace;
        assert!(in_place(Activation::Clip { min: 0.0, max: 6.0 }));
        assert!(in_place(Activation::LeakyRelu { alpha: 0.1 }));
        assert!(!in_place(Activation::LeakyRelu { alpha: -0.1 }));
        assert!(!in_place(Activation::Swish { alpha: 1.0 }));
    }

    #[test]
    fn each_kind_of_device_has_its_kernel() {
        let software = Limits { software: true, subgroup_lanes: 8, ..Limits::default() };
        let four_lanes = Limits { subgroup_lanes: 4, ..software.clone() };
        let name = |limits: &Limits, groups| chosen(limits, groups).candidate.name;
        assert!(name(&Limits::default(), 1).starts_with("conv_gemm "));
        assert!(name(&Limits { plain_sums: true, ..software.clone() }, 1).starts_with("conv_subgroup "));
        assert_eq!(name(&four_lanes, 1), "conv_tile");
        assert_eq!([&Limits::default(), &software].map(|limits| name(limits, 64)), ["conv_depthwise row_3s1"; 2]);
        assert_eq!(name(&four_lanes, 64), "conv_direct");
    }

    #[test]
    fn an_image_without_pixels_is_left_to_kernels_that_look_before_they_load() {
        let software = Limits { software: true, subgroup_lanes: 8, ..Limits::default() };
        for (limits, groups) in [(&software, 1), (&software, 64), (&Limits::default(), 1), (&Limits::default(), 64)] {
            let shape = ConvShape { image: [5, 0], out: [3, 2], ..shape(64, 3, groups) };
            let epilogue = Epilogue::default();
            let choice = choose(&Problem { shape: &shape, epilogue: &epilogue, residual: false, limits });
            assert!(["conv_tile", "conv_direct"].contains(&choice.candidate.name.as_str()), "{}", choice.because);
        }
    }

    #[test]
    fn tiles_are_transformed_where_that_pays() {
        let software = Limits { software: true, subgroup_lanes: 8, ..Limits::default() };
        let name = |channels: usize, image: usize, limits: &Limits| {
            let shape = ConvShape { out_c: channels, ..shape(channels, image, 1) };
            let epilogue = Epilogue::default();
            choose(&Problem { shape: &shape, epilogue: &epilogue, residual: false, limits }).candidate.name
        };
        assert_eq!(name(256, 28, &software), "conv_winograd strip_of_tiles_4x32");
        assert!(name(32, 112, &software).starts_with("conv_subgroup"), "the transforms cost more than the products");
        assert!(name(512, 7, &software).starts_with("conv_subgroup"), "too few tiles for a strip");
        assert!(name(64, 26, &software).starts_with("conv_subgroup"), "less to gain than there is to compile");
        assert!(name(256, 28, &Limits::default()).starts_with("conv_gemm"), "not measured");
        let forced = Limits { conv_kernel: Some("conv_winograd".into()), ..Limits::default() };
        assert!(name(256, 28, &forced).starts_with("conv_winograd conv_gemm"));
    }

    #[test]
    fn sums_are_split_where_a_device_has_more_lanes_than_an_image_has_work_for() {
        let small_image = ConvShape { in_c: 512, out_c: 512, ..shape(512, 7, 1) };
        let name = |lanes: u32| {
            let (limits, epilogue) = (Limits { lanes, ..Limits::default() }, Epilogue::default());
            let problem = Problem { shape: &small_image, epilogue: &epilogue, residual: false, limits: &limits };
            choose(&problem).candidate.name
        };
        assert!(!name(Limits::default().lanes).contains("split"), "{}", name(Limits::default().lanes));
        assert!(name(16_384).contains("split"), "{}", name(16_384));
    }

    #[test]
    fn a_forced_kernel_is_taken_where_it_fits() {
        let forced =
            |name: &str| chosen(&Limits { conv_kernel: Some(name.into()), ..Limits::default() }, 1).candidate.name;
        for name in ["conv_tile", "conv_gemm 32x64", "conv_gemm 128x128 split 4"] {
            assert_eq!(forced(name), name);
        }
        assert_eq!(forced("conv_depthwise"), "conv_direct");
        assert_eq!(forced("conv_subgroup"), "conv_direct", "without subgroups of 8");
        assert_eq!(forced("conv_gemm 1x1"), "conv_direct");
    }

    #[test]
    fn what_was_measured_goes_before_the_rule_where_it_fits() {
        let key = "1x64x58x58,64x3x3,s1x1,p0x0x0x0,d1x1,g1,act=identity".to_string();
        let tuned = |name: &str| {
            let tuned = std::sync::Arc::new([(key.clone(), name.to_string())].into());
            chosen(&Limits { tuned, ..Limits::default() }, 1)
        };
        assert_eq!(tuned("conv_gemm 16x64").candidate.name, "conv_gemm 16x64");
        let rule = chosen(&Limits::default(), 1).candidate.name;
        for unknown in ["conv_gemm 1x1", "conv_depthwise", "nothing", ""] {
            assert_eq!(tuned(unknown).candidate.name, rule, "{unknown}");
        }
    }

    #[test]
    fn the_reason_says_what_was_passed_over() {
        let because = chosen(&Limits::default(), 1).because;
        assert!(because.contains("not conv_depthwise") && because.contains("costs least"), "{because}");
    }
}
