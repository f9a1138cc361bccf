// x for x > 0, else a (exp(x) - 1).
fn activate(x: f32, a: f32, b: f32) -> f32 {
    return select(x, a * expm1(min(x, 0.0)), x < 0.0);
}
