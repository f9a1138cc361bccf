// The smaller, or NaN where either is NaN and the driver honours it.
fn combine(a: f32, b: f32) -> f32 {
    return select(b, a, a <= b || is_nan(a));
}
