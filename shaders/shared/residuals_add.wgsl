@group(0) @binding(4) var<storage, read> residual: array<vec4<f32>>;

fn residuals_at(at: u32) -> vec4<f32> {
    return residual[at];
}
