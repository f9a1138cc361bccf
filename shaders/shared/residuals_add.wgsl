@group(0) @binding(4) var<storage, read> residual: array<InMemory>;

fn residuals_at(at: u32) -> vec4<f32> {
    return from_memory(residual[min(at, places() - 1u)]);
}
