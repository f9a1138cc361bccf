// An invocation's pixels are the places of one pool's window, 4 at a time. Expects: take, pooled, window_place.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let pixels = p.pool.out_h * p.pool.out_w;
    let pixel = index % pixels;
    let block = index / pixels % channel_blocks();
    let n = index / (pixels * channel_blocks());

    var state = vec4<f32>();
    var taken = 0u;
    for (var tap = 0u; tap < p.pool.k_h * p.pool.k_w; tap += 4u) {
        let place_0 = window_place(pixel, tap);
        let place_1 = window_place(pixel, tap + 1u);
        let place_2 = window_place(pixel, tap + 2u);
        let place_3 = window_place(pixel, tap + 3u);
        let tile = convolve_tile(
            n, block, place_corner(place_0), place_corner(place_1), place_corner(place_2), place_corner(place_3),
        );
        state = taken_at(state, taken, tile.at_0, n, block, place_0);
        taken += u32(place_0.inside);
        state = taken_at(state, taken, tile.at_1, n, block, place_1);
        taken += u32(place_1.inside);
        state = taken_at(state, taken, tile.at_2, n, block, place_2);
        taken += u32(place_2.inside);
        state = taken_at(state, taken, tile.at_3, n, block, place_3);
        taken += u32(place_3.inside);
    }
    let result = pooled(state, taken, pixel);
    for (var i = 0u; i < channels_of(block); i++) {
        output[(n * p.out_c + first_channel(block) + i) * pixels + pixel] = result[i];
    }
}

// A place outside is convolved like the first one, and not taken.
fn place_corner(place: WindowPlace) -> vec2<i32> {
    return corner(u32(select(0, place.y, place.inside)), u32(select(0, place.x, place.inside)));
}

fn taken_at(state: vec4<f32>, taken: u32, sum: vec4<f32>, n: u32, block: u32, place: WindowPlace) -> vec4<f32> {
    if (!place.inside) {
        return state;
    }
    var values = vec4<f32>();
    for (var i = 0u; i < channels_of(block); i++) {
        values[i] = finish(sum[i], n, first_channel(block) + i, u32(place.y), u32(place.x));
    }
    return take(state, values, taken);
}
