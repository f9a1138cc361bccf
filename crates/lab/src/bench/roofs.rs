//! What an adapter can do at most, measured on it by kernels of our own: multiply-adds, bytes, launches. A roof that comes
//! from a data sheet is no roof of the machine at hand. The model is that of S. Williams, A. Waterman and D. Patterson,
//! Roofline: an insightful visual performance model, CACM 52(4), 2009.

use super::{Statistics, since};
use ndarray::ArrayViewMut2;
use reluctor::error::Result;
use reluctor::gpu::{Gpu, Session};
use reluctor::linalg::{Threads, matmul, matrix};
use reluctor::plan::measure::Measure;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The ceilings that a kernel's time is held against. 1 multiply-add = 2 flops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Roofs {
    /// Billions of f32 flops a second, in independent chains of multiply-adds.
    pub gflops_f32: f64,
    /// Billions of bytes a second, read and written, by a copy much larger than caches.
    pub gbps: f64,
    /// The same of smaller copies, which caches hold: the smallest first.
    pub cached: Vec<Bandwidth>,
    /// Microseconds that one more dispatch costs.
    pub launch_us: f64,
}

/// What copies of one size reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Bytes read and written.
    pub bytes: u64,
    /// Billions of bytes a second.
    pub gbps: f64,
}

/// What keeps a kernel from being faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Arithmetic.
    Compute,
    /// Memory.
    Memory,
    /// Being launched at all.
    Launch,
}

impl Bound {
    /// As reports have it.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Compute => "compute",
            Bound::Memory => "memory",
            Bound::Launch => "launch",
        }
    }
}

impl Roofs {
    /// The least milliseconds that so much work can take, and what it takes them for.
    pub fn least_ms(&self, flops: u64, bytes: u64, dispatches: usize) -> (f64, Bound) {
        let arithmetic = flops as f64 / (self.gflops_f32 * 1e6);
        let memory = bytes as f64 / (self.gbps_of(bytes) * 1e6);
        let launches = dispatches as f64 * self.launch_us * 1e-3;
        let work = if arithmetic > memory { (arithmetic, Bound::Compute) } else { (memory, Bound::Memory) };
        if launches > work.0 { (launches, Bound::Launch) } else { work }
    }

    /// What memory can move where a step reads and writes so many bytes, and finds them where the step before left them: as
    /// a copy of that size or the next smaller one does.
    pub fn gbps_of(&self, bytes: u64) -> f64 {
        let held = self.cached.iter().filter(|cached| bytes <= cached.bytes.saturating_mul(2));
        held.map(|cached| cached.gbps).next().unwrap_or(self.gbps).max(self.gbps)
    }

    /// The same where every run finds the caches cold.
    pub fn cold(self) -> Self {
        Roofs { cached: Vec::new(), ..self }
    }

    /// Flops a byte above which arithmetic is the lower roof.
    pub fn ridge(&self) -> f64 {
        self.gflops_f32 / self.gbps
    }

    /// Measures an adapter.
    ///
    /// # Errors
    /// Those of [`Gpu::load`] and [`Session::run`].
    pub fn of_gpu(gpu: &Gpu) -> Result<Roofs> {
        let launch_us = launch_cost(gpu)?;
        let cached = |bytes| Ok(Bandwidth { bytes: 2 * bytes as u64, gbps: copy_bandwidth(gpu, bytes, launch_us)? });
        Ok(Roofs {
            gflops_f32: multiply_add_peak(gpu)?,
            gbps: copy_bandwidth(gpu, COPIED, launch_us)?,
            cached: CACHED.into_iter().map(cached).collect::<Result<_>>()?,
            launch_us,
        })
    }

    /// Measures the processor, on all threads of the pool: a matrix product and a copy stand for its peaks, since the CPU
    /// executor is built on them.
    pub fn of_cpu() -> Roofs {
        let (a, mut c) = (vec![0.5f32; PRODUCT * PRODUCT], vec![0.0f32; PRODUCT * PRODUCT]);
        let product = fastest_ms(|| product(&a, &mut c));
        let cached = |bytes| Bandwidth { bytes: 2 * bytes as u64, gbps: processor_copy(bytes) };
        Roofs {
            gflops_f32: PRODUCT_FLOPS as f64 / product / 1e6,
            gbps: processor_copy(COPIED),
            cached: CACHED.map(cached).to_vec(),
            launch_us: 0.0,
        }
    }
}

/// Rows and columns of the matrices that stand for the processor's peak: they fit its caches.
pub(super) const PRODUCT: usize = 384;
pub(super) const PRODUCT_FLOPS: u64 = 2 * (PRODUCT * PRODUCT * PRODUCT) as u64;

pub(super) fn product(a: &[f32], c: &mut [f32]) {
    let out = ArrayViewMut2::from_shape((PRODUCT, PRODUCT), c).expect("a square");
    matmul(matrix([PRODUCT, PRODUCT], a), matrix([PRODUCT, PRODUCT], a), out, Threads::All);
}

/// Workgroups that fill a device with multiply-adds.
pub(super) fn lanes(gpu: &Gpu) -> u32 {
    if gpu.limits().software { 64 } else { 16_384 }
}

/// Bytes of each side of the copy: past the caches of processors and most GPUs, within every binding's limit.
const COPIED: usize = 64 << 20;

/// Bytes of each side of the copies that caches may hold.
const CACHED: [usize; 4] = [128 << 10, 512 << 10, 2 << 20, 8 << 20];

/// Bytes that a measured copy moves at least, in as many copies as that takes.
const MOVED: usize = 16 << 20;

/// Billions of bytes a second, of copies between two places.
fn processor_copy(bytes: usize) -> f64 {
    use rayon::prelude::*;
    let (from, mut to) = (vec![1.0f32; bytes / 4], vec![0.0f32; bytes / 4]);
    let times = MOVED.div_ceil(bytes);
    let ms = fastest_ms(|| {
        for _ in 0..times {
            to.par_chunks_mut(1 << 14).zip(from.par_chunks(1 << 14)).for_each(|(to, from)| to.copy_from_slice(from));
            std::hint::black_box(&to);
        }
    });
    2.0 * (bytes * times) as f64 / ms / 1e6
}

/// Runs that each figure is the best or the median of.
const RUNS: usize = 25;

/// A roof is what was reached once: other work on the machine only ever takes away from it.
fn fastest_ms(mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        since(start)
    };
    (0..RUNS).map(time).fold(f64::INFINITY, f64::min)
}

/// Milliseconds that a dispatch must take for its time to mean something.
const LONG: f64 = 10.0;

fn multiply_add_peak(gpu: &Gpu) -> Result<f64> {
    let (groups, max_loop_iterations) = (lanes(gpu), gpu.limits().max_loop_iterations);
    let mut rounds = 16;
    loop {
        let measure = Measure::MultiplyAdd { groups, rounds };
        let session = gpu.load(&measure.plan(1, &gpu.limits()))?;
        let ms = least_device_ms(&session)?;
        if ms >= LONG || 2 * rounds > max_loop_iterations / 2 {
            return Ok(measure.flops() as f64 / ms / 1e6);
        }
        rounds *= 2;
    }
}

/// Billions of bytes a second, without what launching costs.
fn copy_bandwidth(gpu: &Gpu, bytes: usize, launch_us: f64) -> Result<f64> {
    let times = MOVED.div_ceil(bytes);
    let session = gpu.load(&Measure::Copy { bytes }.plan(times, &gpu.limits()))?;
    let ms = least_device_ms(&session)?;
    let launching = (times as f64 * launch_us * 1e-3).min(0.5 * ms);
    Ok(2.0 * (bytes * times) as f64 / (ms - launching) / 1e6)
}

/// By the wall clock: what a thousand dispatches take longer than one, a submission's own cost left out.
fn launch_cost(gpu: &Gpu) -> Result<f64> {
    const MANY: usize = 1001;
    let load = |times| gpu.load(&Measure::Launch.plan(times, &gpu.limits()));
    let median_ms = |session: &Session| {
        let mut times = Vec::new();
        for _ in 0..=RUNS {
            let start = Instant::now();
            session.run(&[])?;
            times.push(since(start));
        }
        Ok(Statistics::of(&times[1..]).median)
    };
    let (one, many) = (median_ms(&load(1)?)?, median_ms(&load(MANY)?)?);
    Ok(((many - one) / (MANY - 1) as f64 * 1e3).max(0.0))
}

/// By the device's own clock where it has one, else by the wall's.
fn least_device_ms(session: &Session) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..=RUNS {
        let start = Instant::now();
        let ms = match session.profile(&[])? {
            Some(steps) => steps.iter().map(|step| step.ms).sum(),
            None => {
                session.run(&[])?;
                since(start)
            }
        };
        least = least.min(ms);
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::gpu::{Choice, Options};

    const ROOFS: Roofs = Roofs { gflops_f32: 100.0, gbps: 10.0, cached: Vec::new(), launch_us: 5.0 };

    #[test]
    fn what_caches_hold_has_a_higher_roof() {
        let cached = [(1000, 40.0), (4000, 20.0)].map(|(bytes, gbps)| Bandwidth { bytes, gbps });
        let roofs = Roofs { cached: cached.to_vec(), ..ROOFS };
        assert_eq!([100, 2000, 2001, 9000].map(|bytes| roofs.gbps_of(bytes)), [40.0, 40.0, 20.0, 10.0]);
        assert_eq!(roofs.cold().gbps_of(100), 10.0);
    }

    #[test]
    fn the_higher_of_the_three_floors_is_what_bounds() {
        assert_eq!(ROOFS.least_ms(200_000_000, 1_000_000, 1), (2.0, Bound::Compute));
        assert_eq!(ROOFS.least_ms(1_000_000, 20_000_000, 1), (2.0, Bound::Memory));
        assert_eq!(ROOFS.least_ms(100, 100, 2), (0.01, Bound::Launch));
        assert_eq!(ROOFS.ridge(), 10.0);
    }

    #[test]
    fn an_adapter_has_roofs() {
        let gpu = Gpu::open(&Choice::Gpu, &Options::default()).unwrap().expect("an adapter");
        let roofs = Roofs::of_gpu(&gpu).unwrap();
        let plausible = |x: f64| x.is_finite() && x > 0.1;
        assert!(plausible(roofs.gflops_f32) && plausible(roofs.gbps) && roofs.launch_us < 10_000.0, "{roofs:?}");
    }

    #[test]
    fn the_processor_has_roofs() {
        let roofs = Roofs::of_cpu();
        assert!(roofs.gflops_f32 > 0.1 && roofs.gbps > 0.01 && roofs.launch_us == 0.0, "{roofs:?}");
    }
}
