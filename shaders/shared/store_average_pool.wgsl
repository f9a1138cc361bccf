// The mean of each window: over the elements inside the image, or over all that lie inside the padded image.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let to = place(index);
    var sum = 0.0;
    var count = 0u;
    for (var ky = 0u; ky < p.pool.k_h; ky++) {
        let y = i32(to.y * p.pool.stride_h + ky * p.pool.dilation_h) - p.pool.pad_top;
        for (var kx = 0u; kx < p.pool.k_w; kx++) {
            let x = i32(to.x * p.pool.stride_w + kx * p.pool.dilation_w) - p.pool.pad_left;
            if (y >= 0 && y < i32(p.out_h) && x >= 0 && x < i32(p.out_w)) {
                sum += element(to.n, to.c, u32(y), u32(x));
                count += 1u;
            } else if (p.pool.count_include_pad != 0u
                && y < i32(p.out_h + p.pool.pad_bottom) && x < i32(p.out_w + p.pool.pad_right)) {
                count += 1u;
            }
        }
    }
    output[to.at] = sum / f32(count);
}
