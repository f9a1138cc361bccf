// An invocation's pixels are 4 neighbours; each element is stored as it is.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let pixel_blocks = (p.out_h * p.out_w + 3u) / 4u;
    let pixel = index % pixel_blocks * 4u;
    let block = index / pixel_blocks % channel_blocks();
    let n = index / (pixel_blocks * channel_blocks());
    let tile = convolve_tile(
        n, block, pixel_corner(pixel), pixel_corner(pixel + 1u), pixel_corner(pixel + 2u), pixel_corner(pixel + 3u),
    );
    store_pixel(tile.at_0, n, block, pixel);
    store_pixel(tile.at_1, n, block, pixel + 1u);
    store_pixel(tile.at_2, n, block, pixel + 2u);
    store_pixel(tile.at_3, n, block, pixel + 3u);
}

fn pixel_corner(pixel: u32) -> vec2<i32> {
    return corner(pixel / p.out_w, pixel % p.out_w);
}

// The last tile may hang over the last pixel.
fn store_pixel(sum: vec4<f32>, n: u32, block: u32, pixel: u32) {
    if (pixel >= p.out_h * p.out_w) {
        return;
    }
    for (var i = 0u; i < channels_of(block); i++) {
        let oc = first_channel(block) + i;
        let at = (n * p.out_c + oc) * p.out_h * p.out_w + pixel;
        output[at] = finish(sum[i], n, oc, pixel / p.out_w, pixel % p.out_w);
    }
}
