// x / (1 + exp(-a x)), in sigmoid's overflow-safe form.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let t = exp(-abs(a * x));
    return x * (select(1.0, t, a * x < 0.0) / (1.0 + t));
}
