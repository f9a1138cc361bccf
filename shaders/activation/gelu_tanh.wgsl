// x/2 (1 + tanh(v)) = x / (1 + exp(-2v)), v = sqrt(2/pi) (x + 0.044715 x^3), in sigmoid's overflow-safe form.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let v = 0.79788456 * (x + 0.044715 * x * x * x);
    let t = exp(-2.0 * abs(v));
    return x * (select(1.0, t, x < 0.0) / (1.0 + t));
}
