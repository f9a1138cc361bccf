// min(max(x, a), b): the upper bound wins where the bounds cross. NaN stays NaN where the driver honours NaN.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let at_least_a = select(x, a, x < a);
    return select(at_least_a, b, at_least_a > b);
}
