//! What times of different days are counted in.

use super::roofs::{PRODUCT, PRODUCT_FLOPS, Roofs, lanes, product};
use reluctor::error::Result;
use reluctor::gpu::{Gpu, Session};
use reluctor::plan::measure::Measure;

/// Multiply-adds and nothing else, for about as long as a subject takes, so that what the machine does beside meets both
/// alike: what a subject's time is counted in where runs of different days are compared.
pub struct Pace {
    work: PaceWork,
    flops: u64,
}

enum PaceWork {
    Adapter(Box<Session>),
    /// A matrix product of this size, so many times.
    Processor(usize),
}

impl Pace {
    /// On an adapter, or on the processor, for about so many milliseconds.
    ///
    /// # Errors
    /// Those of [`Gpu::load`].
    pub fn new(gpu: Option<&Gpu>, roofs: &Roofs, ms: f64) -> Result<Self> {
        let flops = roofs.gflops_f32 * 1e6 * ms.clamp(1.0, 50.0);
        let Some(gpu) = gpu else {
            let times = (flops / PRODUCT_FLOPS as f64).ceil() as usize;
            return Ok(Pace { work: PaceWork::Processor(times), flops: PRODUCT_FLOPS * times as u64 });
        };
        let groups = lanes(gpu);
        let a_round = Measure::MultiplyAdd { groups, rounds: 1 }.flops();
        let rounds = (flops / a_round as f64).round().clamp(1.0, 50_000.0) as u32;
        let measure = Measure::MultiplyAdd { groups, rounds };
        let session = gpu.load(&measure.plan(1, &gpu.limits()))?;
        Ok(Pace { work: PaceWork::Adapter(Box::new(session)), flops: measure.flops() })
    }

    /// Billions of flops that a run of it takes.
    pub fn gflop(&self) -> f64 {
        self.flops as f64 * 1e-9
    }

    /// Does it once.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn run(&self) -> Result<()> {
        match &self.work {
            PaceWork::Adapter(session) => session.run(&[]).map(drop),
            PaceWork::Processor(times) => {
                let (a, mut c) = (vec![0.5f32; PRODUCT * PRODUCT], vec![0.0f32; PRODUCT * PRODUCT]);
                for _ in 0..*times {
                    product(&a, &mut c);
                    std::hint::black_box(&c);
                }
                Ok(())
            }
        }
    }
}
