// An invocation's 4 pixels are stored as they are.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = four_at(invocation_index(id, groups), p.out_h, p.out_w);
    if (!at.exists) {
        return;
    }
    let row = convolve_row(at.n, at.block, at.oy, at.ox);
    store_pixel(row.at_0, at, 0u);
    store_pixel(row.at_1, at, 1u);
    store_pixel(row.at_2, at, 2u);
    store_pixel(row.at_3, at, 3u);
}

// The last pixels may lie behind the row's end.
fn store_pixel(sums: vec4<f32>, at: Four, pixel: u32) {
    if (at.ox + pixel < p.out_w) {
        store_four(sums, at.n, at.block, at.oy, at.ox + pixel);
    }
}
