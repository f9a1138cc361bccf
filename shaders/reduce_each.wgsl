// reduce_each: one invocation reduces one row, whose elements lie `inner` apart. Expects: empty, combine, complete.

struct Params { rows: u32, row: u32, inner: u32, scale: f32 }

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
    var total = empty(input[start]);
    for (var r = 0u; r < p.row; r++) {
        total = combine(total, input[start + r * p.inner]);
    }
    output[index] = complete(total);
}
