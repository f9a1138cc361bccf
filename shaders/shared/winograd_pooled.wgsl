// Tiles of 4x4 cover the windows of 2x2 at a stride of 2, which lie inside the image. Expects: take, pooled.
fn tiles_down() -> u32 {
    return (p.pool.out_h + 1u) / 2u;
}

fn tiles_across() -> u32 {
    return (p.pool.out_w + 1u) / 2u;
}

// Two neighbouring columns of a tile: a window above another. The last may lie behind the result's end.
fn store_columns(left: Four, right: Four, n: u32, block: u32, oy: u32, ox: u32) {
    store_window(left.at_0, right.at_0, left.at_1, right.at_1, n, block, oy, ox);
    store_window(left.at_2, right.at_2, left.at_3, right.at_3, n, block, oy + 2u, ox);
}

fn store_window(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, n: u32, block: u32, oy: u32, ox: u32) {
    let bias = biases_of(block);
    var state = take(vec4<f32>(), finish_four(bias + a, n, block, oy, ox), 0u);
    state = take(state, finish_four(bias + b, n, block, oy, ox + 1u), 1u);
    state = take(state, finish_four(bias + c, n, block, oy + 1u, ox), 1u);
    state = take(state, finish_four(bias + d, n, block, oy + 1u, ox + 1u), 1u);
    if (oy / 2u < p.pool.out_h) {
        store_pooled(pooled(state, 4u, 0u), n, block, oy / 2u, ox / 2u);
    }
}
