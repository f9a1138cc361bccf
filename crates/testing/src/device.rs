//! The devices under test, opened once a process.

use reluctor::gpu::{Choice, Gpu, Options};
use reluctor::plan::Plan;
use reluctor::tensor::Tensor;
use std::sync::OnceLock;

/// The best adapter there is, software ones included.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| open(&Options::default()))
}

/// The same with shaders that check their indices at run time.
pub fn checked_gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| open(&Options { checked: true, ..Options::default() }))
}

fn open(options: &Options) -> Gpu {
    let gpu = Gpu::open(&Choice::Gpu, options).expect("these tests need an adapter: see scripts/test");
    gpu.expect("`gpu` never means the CPU executor")
}

/// Runs a plan three times on one session whose shared buffers hold NaN before each run. All runs must agree bit for bit.
pub fn run(gpu: &Gpu, plan: &Plan, inputs: &[(&str, &Tensor)]) -> Vec<(String, Tensor)> {
    let session = gpu.load(plan).unwrap_or_else(|error| panic!("{error}"));
    let runs = [(); 3].map(|()| {
        session.poison().unwrap();
        session.run(inputs).unwrap_or_else(|error| panic!("{error}"))
    });
    assert_identical(&runs);
    let [first, ..] = runs;
    first
}

/// Panics unless all runs returned the same bits.
pub fn assert_identical(runs: &[Vec<(String, Tensor)>]) {
    let bits = |run: &[(String, Tensor)]| -> Vec<Vec<u32>> {
        run.iter().map(|(_, tensor)| tensor.as_real().unwrap().iter().map(|x| x.to_bits()).collect()).collect()
    };
    for run in runs {
        for ((name, _), (first, later)) in run.iter().zip(bits(&runs[0]).iter().zip(bits(run))) {
            assert!(*first == later, "'{name}' differs between runs of one session");
        }
    }
}
