// 1 where one is true and the other is not, else 0.
fn combine(a: f32, b: f32) -> f32 {
    return select(0.0, 1.0, (a != 0.0) != (b != 0.0));
}
