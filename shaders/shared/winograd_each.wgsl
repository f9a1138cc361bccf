// Tiles of 4x4 cover the result.
fn tiles_down() -> u32 {
    return (p.out_h + 3u) / 4u;
}

fn tiles_across() -> u32 {
    return (p.out_w + 3u) / 4u;
}

// Two neighbouring columns of a tile; the last pixels may lie behind the result's end.
fn store_columns(left: Four, right: Four, n: u32, block: u32, oy: u32, ox: u32) {
    let bias = biases_of(block);
    let finished_left = finished_column(left, bias, n, block, oy, ox);
    let finished_right = finished_column(right, bias, n, block, oy, ox + 1u);
    let first = place_of(n, block, oy, ox);
    let width = p.out_w;
    let rows = select(0u, max(p.out_h, oy) - oy, is_stored(block));
    store_column(finished_left, first, width, select(0u, rows, ox < width));
    store_column(finished_right, first + 1u, width, select(0u, rows, ox + 1u < width));
}

fn finished_column(sums: Four, bias: vec4<f32>, n: u32, block: u32, oy: u32, ox: u32) -> Four {
    return Four(
        finish_four(bias + sums.at_0, n, block, oy, ox), finish_four(bias + sums.at_1, n, block, oy + 1u, ox),
        finish_four(bias + sums.at_2, n, block, oy + 2u, ox), finish_four(bias + sums.at_3, n, block, oy + 3u, ox),
    );
}

fn store_column(finished: Four, first: u32, width: u32, rows: u32) {
    store_pixel(finished.at_0, first, 0u < rows);
    store_pixel(finished.at_1, first + width, 1u < rows);
    store_pixel(finished.at_2, first + 2u * width, 2u < rows);
    store_pixel(finished.at_3, first + 3u * width, 3u < rows);
}

fn store_pixel(finished: vec4<f32>, at: u32, exists: bool) {
    if (exists) {
        output[at] = to_memory(finished);
    }
}
