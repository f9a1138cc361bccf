// softmax_rows: one workgroup computes one row, whose elements lie `inner` apart.

struct Params { rows: u32, row: u32, inner: u32 }

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

    var most = input[start];
    for (var r = lane; r < p.row; r += WORKGROUP) {
        most = max(most, input[start + r * p.inner]);
    }
    partial[lane] = most;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            partial[lane] = max(partial[lane], partial[lane + half]);
        }
        workgroupBarrier();
    }
    most = partial[0];
    // Everyone has read the maximum before the array is used again.
    workgroupBarrier();

    var sum = 0.0;
    for (var r = lane; r < p.row; r += WORKGROUP) {
        sum += exp(input[start + r * p.inner] - most);
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    sum = partial[0];

    for (var r = lane; r < p.row; r += WORKGROUP) {
        let at = start + r * p.inner;
        output[at] = exp(input[at] - most) / sum;
    }
}
