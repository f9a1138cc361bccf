use reluctor::tensor::Tensor;
use reluctor::*;
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let device = args[0].clone();
    for dir in &args[1..] {
        let dir = std::path::Path::new(dir);
        if let Err(e) = one(&device, dir) {
            println!("{} ERROR {e}", dir.display());
        }
    }
}
fn one(device: &str, dir: &std::path::Path) -> error::Result<()> {
    let t = Instant::now();
    let model = onnx::Model::open(&dir.join("model.onnx"))?;
    let declared = model.inputs()?;
    let mut bindings = onnx::Bindings::default();
    let mut inputs = vec![];
    for (k, d) in declared.iter().enumerate() {
        let x = files::read_tensor(dir.join(format!("input_{k}.npy")))?;
        bindings.shapes.insert(d.name.clone(), x.shape().to_vec());
        inputs.push((d.name.clone(), x));
    }
    let fusion = if std::env::var("NOFUSE").is_ok() { passes::Fusion::none() } else { passes::Fusion::all() };
    let graph = passes::optimize(model.graph(&bindings)?, &fusion)?;
    let refs: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, x)| (n.as_str(), x)).collect();
    let load = t.elapsed();
    let t = Instant::now();
    let outputs = if device == "cpu" {
        let s = cpu::Session::<f32>::new(&graph);
        let o = s.run(&refs)?;
        let t = Instant::now();
        s.run(&refs)?;
        println!("cpu warm {:?}", t.elapsed());
        o
    } else if device == "f64" {
        let wide: Vec<(&str, Tensor<f64>)> = inputs.iter().map(|(n, x)| (n.as_str(), x.cast())).collect();
        let r: Vec<(&str, &Tensor<f64>)> = wide.iter().map(|(n, x)| (*n, x)).collect();
        cpu::Session::<f64>::new(&graph).run(&r)?.into_iter().map(|(n, x)| (n, x.cast())).collect()
    } else {
        let gpu = gpu::Gpu::open(&device.parse()?, &gpu::Options::default())?.unwrap();
        let plan = plan::plan(&graph, &gpu.limits())?;
        let s = gpu.load(&plan)?;
        s.run(&refs)?;
        let t = Instant::now();
        let o = s.run(&refs)?;
        println!(
            "gpu warm {:?} dispatches {} {:.2} GFLOP",
            t.elapsed(),
            plan.dispatches().count(),
            plan.flops() as f64 / 1e9
        );
        if std::env::var("COMPARE").is_ok() {
            for mode in [compare::Mode::EachLayer, compare::Mode::Cumulative] {
                let mut c = compare::Comparison::new(&graph, &refs, mode, compare::Tolerance::RoundingBound);
                let t = Instant::now();
                let mut worst = 0f64;
                s.run_stepwise(&refs, &mut |step, outs| {
                    let l = c.layer(
                        plan.steps[step].node,
                        plan.steps[step].dispatches.iter().map(|d| d.variant.to_string()).collect::<Vec<_>>().join(" "),
                        &outs[0],
                    )?;
                    worst = worst.max(l.difference.bound_ratio);
                    if l.difference.bound_ratio > 0.5 || std::env::var("V").is_ok() {
                        println!(
                            "  {} {} ratio {:.3} abs {:.2e} {:?}",
                            l.name, l.kernel, l.difference.bound_ratio, l.difference.max_abs, l.difference.verdict
                        );
                    }
                    Ok(())
                })?;
                println!("  {mode:?} worst ratio {worst:.4} in {:?}", t.elapsed());
            }
        }
        o
    };
    let run = t.elapsed();
    for (k, (name, y)) in outputs.iter().enumerate() {
        let expect = files::read_tensor(dir.join(format!("output_{k}.npy")))?;
        let (y, e) = (y.as_real()?, expect.as_real()?);
        assert_eq!(y.shape(), e.shape());
        let m = e.iter().fold(0f32, |m, x| m.max(x.abs()));
        let worst = y.iter().zip(e).map(|(a, b)| (a - b).abs() / (1e-3 * m + 1e-3 * b.abs())).fold(0f32, f32::max);
        println!(
            "{} {name}: {} worst/tolerance {worst:.4}  load {load:?} run {run:?}",
            dir.file_name().unwrap().to_string_lossy(),
            if worst <= 1.0 { "ok" } else { "FAIL" }
        );
    }
    Ok(())
}
