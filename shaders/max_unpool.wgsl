// max_unpool: the elements of pooled images at the places that their indices name, zeros elsewhere. One invocation looks
// through the windows that its element lies in, the last ones first: of several that name it the last counts.

struct Params {
    k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, dilation_h: u32, dilation_w: u32, pad_top: u32, pad_left: u32,
    in_h: u32, in_w: u32, out_h: u32, out_w: u32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;
// Whole numbers, row-major over all images.
@group(0) @binding(3) var<storage, read> indices: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let x = index % p.out_w + p.pad_left;
    let y = index / p.out_w % p.out_h + p.pad_top;
    let plane = index / (p.out_w * p.out_h);
    var value = 0.0;
    var found = false;
    for (var ky = 0u; ky < p.k_h; ky++) {
        let down = ky * p.dilation_h;
        if (down > y || (y - down) % p.stride_h != 0u || (y - down) / p.stride_h >= p.in_h) {
            continue;
        }
        let row = (plane * p.in_h + (y - down) / p.stride_h) * p.in_w;
        for (var kx = 0u; kx < p.k_w; kx++) {
            let right = kx * p.dilation_w;
            if (right > x || (x - right) % p.stride_w != 0u || (x - right) / p.stride_w >= p.in_w) {
                continue;
            }
            let from_at = row + (x - right) / p.stride_w;
            if (!found && indices[from_at] == f32(index)) {
                value = input[from_at];
                found = true;
            }
        }
    }
    output[index] = value;
}
