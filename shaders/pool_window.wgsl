// pool_window: a pool that stands alone. One invocation computes one output element. NCHW.
// Expects: a pooling store, the same that ends a convolution.

struct Params {
    pool: PoolParams,
    out_c: u32, out_h: u32, out_w: u32, first_c: u32, count_c: u32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

fn element(n: u32, c: u32, y: u32, x: u32) -> f32 {
    return input[((n * p.out_c + c) * p.out_h + y) * p.out_w + x];
}
