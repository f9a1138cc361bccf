fn activated(x: Numbers) -> Numbers {
    return Numbers(of_one(x.x), of_one(x.y), of_one(x.z), of_one(x.w));
}

fn of_one(x: f32) -> f32 {
    return activate(x, p.activation_a, p.activation_b);
}
