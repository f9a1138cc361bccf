// A convolution whose residual and result lie four channels side by side: [n, c / 4, h, w, 4]. Weights are vec4s in the order
// in which the kernel reads them; then the biases and the slopes, a vec4 for 4 output channels.
// Expects: activate, activation_parameters, residuals_at.
@group(0) @binding(1) var<storage, read_write> output: array<InMemory>;
@group(0) @binding(3) var<storage, read> weights: array<InMemory>;

fn slopes_of(block: u32) -> vec4<f32> {
    return from_memory(weights[p.slope_at + block - p.first_c / 4u]);
}

fn biases_of(block: u32) -> vec4<f32> {
    return from_memory(weights[p.bias_at + block - p.first_c / 4u]);
}

// Whether a block of 4 output channels is this dispatch's to store.
fn is_stored(block: u32) -> bool {
    return block * 4u < min(p.first_c + p.count_c, p.out_c);
}

// The place of a pixel of the unpooled result.
fn place_of(n: u32, block: u32, oy: u32, ox: u32) -> u32 {
    return ((n * ((p.out_c + 3u) / 4u) + block) * p.out_h + oy) * p.out_w + ox;
}

// How many places there are.
fn places() -> u32 {
    return p.count * ((p.out_c + 3u) / 4u) * p.out_h * p.out_w;
}

// Residual and activation for the sums, bias included, of the 4 output channels of a block at a pixel of the unpooled result.
// What lies behind the last channel becomes zero. Kernels finish all that they have before they store any of it: software
// drivers read a uniform again after each store. A pixel that is not stored may have no place.
fn finish_four(sums: vec4<f32>, n: u32, block: u32, oy: u32, ox: u32) -> vec4<f32> {
    let whole = sums + residuals_at(place_of(n, block, oy, ox));
    let a = activation_parameters(block);
    let b = p.activation_b;
    let finished =
        vec4<f32>(activate(whole.x, a.x, b), activate(whole.y, a.y, b), activate(whole.z, a.z, b), activate(whole.w, a.w, b));
    let channels = vec4<u32>(block * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(), finished, channels < vec4<u32>(p.out_c));
}

// Finishes and stores them.
fn store_four(sums: vec4<f32>, n: u32, block: u32, oy: u32, ox: u32) {
    if (is_stored(block)) {
        let at = place_of(n, block, oy, ox);
        output[at] = to_memory(finish_four(sums, n, block, oy, ox));
    }
}
