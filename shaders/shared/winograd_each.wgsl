// Tiles of 4x4 cover the result.
fn tiles_down() -> u32 {
    return (p.out_h + 3u) / 4u;
}

fn tiles_across() -> u32 {
    return (p.out_w + 3u) / 4u;
}

// Two neighbouring columns of a tile; the last pixels may lie behind the result's end.
fn store_columns(left: Four, right: Four, n: u32, block: u32, oy: u32, ox: u32) {
    store_column(left, n, block, oy, ox);
    store_column(right, n, block, oy, ox + 1u);
}

fn store_column(sums: Four, n: u32, block: u32, oy: u32, ox: u32) {
    let bias = biases_of(block);
    store_pixel(bias + sums.at_0, n, block, oy, ox);
    store_pixel(bias + sums.at_1, n, block, oy + 1u, ox);
    store_pixel(bias + sums.at_2, n, block, oy + 2u, ox);
    store_pixel(bias + sums.at_3, n, block, oy + 3u, ox);
}

fn store_pixel(sums: vec4<f32>, n: u32, block: u32, oy: u32, ox: u32) {
    if (oy < p.out_h && ox < p.out_w) {
        store_four(sums, n, block, oy, ox);
    }
}
