// An invocation's 4 pixels are stored as they are.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = four_at(invocation_index(id, groups), p.out_h, p.out_w);
    if (!at.exists) {
        return;
    }
    let row = convolve_row(at.n, at.block, at.oy, at.ox);
    let finished_0 = finish_four(row.at_0, at.n, at.block, at.oy, at.ox);
    let finished_1 = finish_four(row.at_1, at.n, at.block, at.oy, at.ox + 1u);
    let finished_2 = finish_four(row.at_2, at.n, at.block, at.oy, at.ox + 2u);
    let finished_3 = finish_four(row.at_3, at.n, at.block, at.oy, at.ox + 3u);
    let first = place_of(at.n, at.block, at.oy, at.ox);
    // The last pixels may lie behind the row's end.
    let count = select(0u, p.out_w - at.ox, is_stored(at.block));
    store_pixel(finished_0, first, 0u, count);
    store_pixel(finished_1, first, 1u, count);
    store_pixel(finished_2, first, 2u, count);
    store_pixel(finished_3, first, 3u, count);
}

fn store_pixel(finished: vec4<f32>, first: u32, pixel: u32, count: u32) {
    if (pixel < count) {
        output[first + pixel] = to_memory(finished);
    }
}
