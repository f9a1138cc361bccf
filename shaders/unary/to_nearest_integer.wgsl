// The integer next to x on the side of zero, at least a and at most b; a for NaN.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    if (is_nan(x) || x < a) {
        return a;
    }
    if (x > b) {
        return b;
    }
    return select(trunc(x), 0.0, abs(x) < 1.0);
}
