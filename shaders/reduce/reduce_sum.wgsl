// A sum, or with a scale of 1 / row a mean.
fn empty(first: f32) -> f32 {
    return 0.0;
}

fn combine(a: f32, b: f32) -> f32 {
    return a + b;
}

fn complete(total: f32) -> f32 {
    return total * p.scale;
}
