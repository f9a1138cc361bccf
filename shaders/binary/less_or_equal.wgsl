// 1 where a is not above b, else 0; nothing is in order with NaN.
fn combine(a: f32, b: f32) -> f32 {
    return select(0.0, 1.0, a <= b && !is_nan(a) && !is_nan(b));
}
