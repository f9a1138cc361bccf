// Where the largest element of each window lies among all elements: of equal ones the first; NaN wins, padding never.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let to = place(index);
    var most = 0.0;
    var most_y = 0u;
    var most_x = 0u;
    var seen = false;
    for (var ky = 0u; ky < p.pool.k_h; ky++) {
        let y = i32(to.y * p.pool.stride_h + ky * p.pool.dilation_h) - p.pool.pad_top;
        if (y < 0 || y >= i32(p.out_h)) {
            continue;
        }
        for (var kx = 0u; kx < p.pool.k_w; kx++) {
            let x = i32(to.x * p.pool.stride_w + kx * p.pool.dilation_w) - p.pool.pad_left;
            if (x < 0 || x >= i32(p.out_w)) {
                continue;
            }
            let value = element(to.n, to.c, u32(y), u32(x));
            if (!seen || (!is_nan(most) && (is_nan(value) || value > most))) {
                most = value;
                most_y = u32(y);
                most_x = u32(x);
                seen = true;
            }
        }
    }
    let start = (to.n * p.out_c + to.c) * p.out_h * p.out_w;
    let within = select(most_y * p.out_w + most_x, most_x * p.out_h + most_y, p.pool.by_columns != 0u);
    output[to.at] = f32(start + within);
}
