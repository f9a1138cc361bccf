// Strips are numbered along rows, over the rows of all images; those behind the last are computed like it, and not stored.
fn strip(index: u32, pixels: u32) -> Strip {
    let per_row = (p.out_w + pixels - 1u) / pixels;
    let strips = p.count * p.out_h * per_row;
    let at = min(index, strips - 1u);
    return Strip(at / (per_row * p.out_h), at / per_row % p.out_h, at % per_row * pixels, index < strips);
}

fn store_one(sums: vec4<f32>, at: Strip, block: u32, pixel: u32) {
    if (at.exists && at.ox + pixel < p.out_w) {
        store_four(sums, at.n, block, at.oy, at.ox + pixel);
    }
}

// Two neighbours.
fn store_two(first: vec4<f32>, second: vec4<f32>, at: Strip, block: u32, pixel: u32) {
    store_one(first, at, block, pixel);
    store_one(second, at, block, pixel + 1u);
}
