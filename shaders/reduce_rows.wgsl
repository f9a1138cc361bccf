// reduce_rows: one workgroup reduces one row, whose elements lie `inner` apart. Expects: empty, combine, complete.

struct Params { rows: u32, row: u32, inner: u32, scale: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group_index(group, groups);
    if (index >= p.rows) {
        return;
    }
    let start = index / p.inner * p.row * p.inner + index % p.inner;
    var total = empty(input[start]);
    for (var r = lane; r < p.row; r += WORKGROUP) {
        total = combine(total, input[start + r * p.inner]);
    }
    partial[lane] = total;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            partial[lane] = combine(partial[lane], partial[lane + half]);
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        output[index] = complete(partial[0]);
    }
}
