// max(0, min(1, a x + b)).
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let line = a * x + b;
    let at_least_0 = select(line, 0.0, line < 0.0);
    return select(at_least_0, 1.0, at_least_0 > 1.0);
}
