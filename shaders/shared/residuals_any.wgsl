// With or without a residual in one pipeline: without, the first element of whatever is bound is loaded and not used.
@group(0) @binding(4) var<storage, read> residual: array<InMemory>;

fn residuals_at(at: u32) -> vec4<f32> {
    let has = p.has_residual != 0u;
    return select(vec4<f32>(), from_memory(residual[select(0u, min(at, places() - 1u), has)]), has);
}
