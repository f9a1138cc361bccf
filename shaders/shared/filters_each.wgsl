// Filters of the channels first_c .. first_c + count_c, each [ic, ky, kx]; then their biases, then their slopes.
@group(0) @binding(3) var<storage, read> weights: array<f32>;

fn bias_of(oc: u32) -> f32 {
    return weights[p.bias_at + oc - p.first_c];
}

fn slope_of(oc: u32) -> f32 {
    return weights[p.slope_at + oc - p.first_c];
}

fn element(n: u32, oc: u32, oy: u32, ox: u32) -> f32 {
    return finish(convolve(n, oc, oy, ox), n, oc, oy, ox);
}
