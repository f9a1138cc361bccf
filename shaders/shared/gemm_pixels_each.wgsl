// A tile's pixels are neighbours in the result, from row to row and from image to image.
fn pixel_count() -> u32 {
    return p.count * p.out_h * p.out_w;
}

fn pixel_at(pixel: u32) -> Pixel {
    return Pixel(pixel / (p.out_h * p.out_w), pixel / p.out_w % p.out_h, pixel % p.out_w, pixel < pixel_count());
}

// The sums of 4 of an invocation's pixels.
fn store_sums_of_four(
    sums_0: vec4<f32>, sums_1: vec4<f32>, sums_2: vec4<f32>, sums_3: vec4<f32>, tile: Tile, block: u32, pixel: u32,
) {
    store_at(sums_0, tile, block, pixel);
    store_at(sums_1, tile, block, pixel + TILE_COLUMNS);
    store_at(sums_2, tile, block, pixel + 2u * TILE_COLUMNS);
    store_at(sums_3, tile, block, pixel + 3u * TILE_COLUMNS);
}

fn store_at(sums: vec4<f32>, tile: Tile, block: u32, pixel: u32) {
    let at = pixel_at(pixel);
    if (at.exists && block < tile.end_block) {
        store_sums(sums, at.n, block, at.y, at.x, tile.split);
    }
}
