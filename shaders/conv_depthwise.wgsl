// conv_depthwise: each channel has a filter of its own. One invocation computes 4 channels of 4 neighbouring pixels of a row:
// a vec4 of weights feeds all of them. Image and result by four channels; weights [oc / 4][ky][kx][4].
// Expects: what conv_by_four expects.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let per_row = (p.out_w + 3u) / 4u;
    let blocks = (p.count_c + 3u) / 4u;
    let index = invocation_index(id, groups);
    if (index >= p.count * blocks * p.out_h * per_row) {
        return;
    }
    let ox = index % per_row * 4u;
    let oy = index / per_row % p.out_h;
    let block = index / (per_row * p.out_h) % blocks;
    let n = index / (per_row * p.out_h * blocks);
    let in_block = p.first_c / 4u + block;
    let plane = (n * ((p.in_c + 3u) / 4u) + in_block) * p.in_h;
    let step = i32(p.stride_w);
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    for (var ky = 0u; ky < p.k_h; ky++) {
        let iy = i32(oy * p.stride_h + ky * p.dilation_h) - p.pad_top;
        if (iy < 0 || iy >= i32(p.in_h)) {
            continue;
        }
        let row = (plane + u32(iy)) * p.in_w;
        for (var kx = 0u; kx < p.k_w; kx++) {
            let weight = weights[(block * p.k_h + ky) * p.k_w + kx];
            let ix = i32(ox * p.stride_w + kx * p.dilation_w) - p.pad_left;
            sum_0 += weight * input_or_zero(row, ix);
            sum_1 += weight * input_or_zero(row, ix + step);
            sum_2 += weight * input_or_zero(row, ix + 2 * step);
            sum_3 += weight * input_or_zero(row, ix + 3 * step);
        }
    }
    store_pixel(sum_0, n, in_block, oy, ox);
    store_pixel(sum_1, n, in_block, oy, ox + 1u);
    store_pixel(sum_2, n, in_block, oy, ox + 2u);
    store_pixel(sum_3, n, in_block, oy, ox + 3u);
}

fn input_or_zero(row: u32, ix: i32) -> vec4<f32> {
    let inside = ix >= 0 && ix < i32(p.in_w);
    return select(vec4<f32>(), input[row + u32(clamp(ix, 0, i32(p.in_w) - 1))], inside);
}

// The last pixels of a strip may lie behind the row's end.
fn store_pixel(sums: vec4<f32>, n: u32, block: u32, oy: u32, ox: u32) {
    if (ox < p.out_w) {
        store_four(sums + biases_of(block), n, block, oy, ox);
    }
}
