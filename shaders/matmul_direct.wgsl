// matmul_direct: one invocation computes one element of alpha a b + beta c, for each pair of matrices in the batches.
// k_begin and k_end are the range of k that this dispatch sums; first_n and count_n the columns that it computes, and b
// starts at column first_n. Expects: activate, addend_at.

struct Params {
    batch_shape: array<vec4<u32>, 2>, a_batch_strides: array<vec4<u32>, 2>, b_batch_strides: array<vec4<u32>, 2>,
    m: u32, n: u32, first_n: u32, count_n: u32, k_begin: u32, k_end: u32,
    a_row: u32, a_column: u32, b_row: u32, b_column: u32, c_row: u32, c_column: u32,
    alpha: f32, beta: f32, is_first: u32, is_last: u32, activation_a: f32, activation_b: f32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input_a: array<f32>;
@group(0) @binding(3) var<storage, read> input_b: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let column = index % p.count_n;
    let row = index / p.count_n % p.m;
    let batch = index / (p.count_n * p.m);

    var rest = batch;
    var a = row * p.a_row;
    var b = column * p.b_column;
    for (var axis = 8u; axis > 0u && rest > 0u; axis--) {
        let at = axis - 1u;
        let size = p.batch_shape[at / 4u][at % 4u];
        a += rest % size * p.a_batch_strides[at / 4u][at % 4u];
        b += rest % size * p.b_batch_strides[at / 4u][at % 4u];
        rest /= size;
    }

    let to = (batch * p.m + row) * p.n + p.first_n + column;
    var sum = 0.0;
    if (p.is_first == 0u) {
        sum = output[to];
    }
    for (var k = p.k_begin; k < p.k_end; k++) {
        sum += input_a[a + k * p.a_column] * input_b[b + k * p.b_row];
    }
    if (p.is_last != 0u) {
        sum = activate(p.alpha * sum + addend_at(row, p.first_n + column), p.activation_a, p.activation_b);
    }
    output[to] = sum;
}
