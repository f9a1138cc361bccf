// Filters of the channels first_c .. first_c + count_c, four at a time: [oc / 4, ic, ky, kx][oc % 4], zeros behind the last
// channel; then their biases and their slopes, four at a time. bias_at and slope_at count vec4.
@group(0) @binding(3) var<storage, read> weights: array<InMemory>;

fn bias_of(oc: u32) -> f32 {
    let at = oc - p.first_c;
    return from_memory(weights[p.bias_at + at / 4u])[at % 4u];
}

fn slope_of(oc: u32) -> f32 {
    let at = oc - p.first_c;
    return from_memory(weights[p.slope_at + at / 4u])[at % 4u];
}
