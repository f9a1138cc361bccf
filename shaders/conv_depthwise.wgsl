// conv_depthwise: each channel has a filter of its own. One invocation computes 4 channels of 4 neighbouring pixels of a row, or
// of two rows under a pool: a vec4 of weights feeds all of a row. Image and result by four channels; weights
// [oc / 4][ky][kx][4].
// Expects: main, and what conv_by_four expects.

// Where an invocation's pixels begin, in a result of so many rows and columns.
struct Four { n: u32, block: u32, oy: u32, ox: u32, exists: bool }

fn four_at(index: u32, rows: u32, columns: u32) -> Four {
    let per_row = (columns + 3u) / 4u;
    let blocks = (p.count_c + 3u) / 4u;
    let n = index / (per_row * rows * blocks);
    let block = p.first_c / 4u + index / (per_row * rows) % blocks;
    return Four(n, block, index / per_row % rows, index % per_row * 4u, n < p.count);
}

// Sums of 4 channels, their biases included, for each of 4 neighbouring pixels.
struct Row { at_0: vec4<f32>, at_1: vec4<f32>, at_2: vec4<f32>, at_3: vec4<f32> }

fn convolve_row(n: u32, block: u32, oy: u32, ox: u32) -> Row {
    let plane = (n * ((p.in_c + 3u) / 4u) + block) * p.in_h;
    let filter_at = (block - p.first_c / 4u) * p.k_h * p.k_w;
    let step = i32(p.stride_w);
    let bias = biases_of(block);
    var sum_0 = bias;
    var sum_1 = bias;
    var sum_2 = bias;
    var sum_3 = bias;
    for (var ky = 0u; ky < p.k_h; ky++) {
        let iy = i32(oy * p.stride_h + ky * p.dilation_h) - p.pad_top;
        if (iy < 0 || iy >= i32(p.in_h)) {
            continue;
        }
        let row = (plane + u32(iy)) * p.in_w;
        for (var kx = 0u; kx < p.k_w; kx++) {
            let weight = weights[filter_at + ky * p.k_w + kx];
            let ix = i32(ox * p.stride_w + kx * p.dilation_w) - p.pad_left;
            sum_0 += weight * input_or_zero(row, ix);
            sum_1 += weight * input_or_zero(row, ix + step);
            sum_2 += weight * input_or_zero(row, ix + 2 * step);
            sum_3 += weight * input_or_zero(row, ix + 3 * step);
        }
    }
    return Row(sum_0, sum_1, sum_2, sum_3);
}

fn input_or_zero(row: u32, ix: i32) -> vec4<f32> {
    let inside = ix >= 0 && ix < i32(p.in_w);
    return select(vec4<f32>(), input[row + u32(clamp(ix, 0, i32(p.in_w) - 1))], inside);
}
