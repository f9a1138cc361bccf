// Strips are numbered along rows, over the rows of all images; those behind the last are computed like it, and not stored.
fn strip(index: u32, pixels: u32) -> Strip {
    let per_row = (p.out_w + pixels - 1u) / pixels;
    let strips = p.count * p.out_h * per_row;
    let at = min(index, strips - 1u);
    return Strip(at / (per_row * p.out_h), at / per_row % p.out_h, at % per_row * pixels, index < strips);
}

// Where a strip's pixels are stored: those behind the row's end are not, nor any of another dispatch's block.
fn stored_strip(at: Strip, block: u32) -> Stored {
    return Stored(place_of(at.n, block, at.oy, at.ox), select(0u, p.out_w - at.ox, at.exists && is_stored(block)));
}

fn store_one(finished: vec4<f32>, to: Stored, pixel: u32) {
    if (pixel < to.count) {
        output[to.first + pixel] = to_memory(finished);
    }
}

// Two neighbours.
fn store_two(left: vec4<f32>, right: vec4<f32>, to: Stored, pixel: u32) {
    store_one(left, to, pixel);
    store_one(right, to, pixel + 1u);
}
