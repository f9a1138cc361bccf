// arg_rows: where the largest or smallest element of a row lies, whose elements lie `inner` apart. One invocation walks one
// row.

struct Params { rows: u32, row: u32, inner: u32, least: u32, last: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.rows) {
        return;
    }
    let start = index / p.inner * p.row * p.inner + index % p.inner;
    // The smallest is the largest of the negatives.
    let sign = select(1.0, -1.0, p.least != 0u);
    var most = input[start] * sign;
    var place = 0u;
    for (var r = 1u; r < p.row; r++) {
        let x = input[start + r * p.inner] * sign;
        if (!is_nan(most) && (is_nan(x) || x > most || (p.last != 0u && x == most))) {
            most = x;
            place = r;
        }
    }
    output[index] = f32(place);
}
