// pool_by_four: a pool of images by four channels. One invocation computes 4 channels of one output pixel.
// Expects: take, pooled, window_place.

struct Params {
    pool: PoolParams,
    out_h: u32, out_w: u32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<InMemory>;
@group(0) @binding(2) var<storage, read> input: array<InMemory>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let pixels = p.pool.out_h * p.pool.out_w;
    let plane = index / pixels * p.out_h * p.out_w;
    let corner_y = i32(index % pixels / p.pool.out_w * p.pool.stride_h) - p.pool.pad_top;
    let corner_x = i32(index % p.pool.out_w * p.pool.stride_w) - p.pool.pad_left;
    var state = vec4<f32>();
    var taken = 0u;
    for (var ky = 0u; ky < p.pool.k_h; ky++) {
        let y = corner_y + i32(ky * p.pool.dilation_h);
        if (y < 0 || y >= i32(p.out_h)) {
            continue;
        }
        for (var kx = 0u; kx < p.pool.k_w; kx++) {
            let x = corner_x + i32(kx * p.pool.dilation_w);
            if (x >= 0 && x < i32(p.out_w)) {
                state = take(state, from_memory(input[plane + u32(y) * p.out_w + u32(x)]), taken);
                taken += 1u;
            }
        }
    }
    output[index] = to_memory(pooled(state, taken, index % pixels));
}
