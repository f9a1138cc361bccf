// An invocation's pixels are two windows of 2x2 at a stride of 2 that lie inside the image. Expects: take, pooled.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = four_at(invocation_index(id, groups), p.pool.out_h, p.pool.out_w * 2u);
    if (!at.exists) {
        return;
    }
    var left = vec4<f32>();
    var right = vec4<f32>();
    for (var ky = 0u; ky < 2u; ky++) {
        let oy = at.oy * 2u + ky;
        let row = convolve_row(at.n, at.block, oy, at.ox);
        left = take(left, finish_four(row.at_0, at.n, at.block, oy, at.ox), ky);
        left = take(left, finish_four(row.at_1, at.n, at.block, oy, at.ox + 1u), 1u);
        right = take(right, finish_four(row.at_2, at.n, at.block, oy, at.ox + 2u), ky);
        right = take(right, finish_four(row.at_3, at.n, at.block, oy, at.ox + 3u), 1u);
    }
    store_pooled(pooled(left, 4u, 0u), at.n, at.block, at.oy, at.ox / 2u);
    store_pooled(pooled(right, 4u, 0u), at.n, at.block, at.oy, at.ox / 2u + 1u);
}
