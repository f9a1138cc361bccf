// 1 / (1 + exp(-x)), by the exponential of a number that is never positive: it cannot overflow.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let t = exp(-abs(x));
    return select(1.0, t, x < 0.0) / (1.0 + t);
}
