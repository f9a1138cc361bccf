// max(0, x) + min(0, a (exp(x / a) - 1)).
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return select(x, a * expm1(min(x, 0.0) / a), x < 0.0);
}
