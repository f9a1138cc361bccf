// conv_depthwise: each channel has a filter of its own. One invocation computes 4 channels of 4 neighbouring pixels of a row, or
// of two rows under a pool: a vec4 of weights feeds all of a row. Image and result by four channels; weights
// [oc / 4][ky][kx][4].
// Expects: main, convolve_row, and what conv_by_four expects.

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
