// matmul_tile: alpha a b + beta c for a constant b. One invocation computes 4 neighbouring columns of ROWS rows, four k at a
// time. a has its rows one behind the other, [rows][k]; b is [n / 32][k][32] from column first_n on: what 8 neighbouring
// invocations load lies in one piece, and so does what they load next. c broadcasts to the m rows of each matrix of a batch.
// Expects: ROWS, multiply, activate, addend_at.

struct Params {
    rows: u32, m: u32, n: u32, first_n: u32, count_n: u32, fours: u32, c_row: u32, c_column: u32,
    alpha: f32, beta: f32, activation_a: f32, activation_b: f32, count: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input_a: array<InMemory>;
@group(0) @binding(3) var<storage, read> input_b: array<InMemory>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let blocks = (p.count_n + 3u) / 4u;
    multiply(index / blocks * ROWS, index % blocks);
}

// Where the vec4s of a row of a begin; behind the last row, that of the last one.
fn row_at(row: u32) -> u32 {
    return min(row, p.rows - 1u) * p.fours;
}

// Where the vec4s of b for a block of four columns begin; from one k to the next there are 8.
fn columns_at(block: u32) -> u32 {
    return block / 8u * p.fours * 32u + block % 8u;
}

// What four k add to the sums of four columns.
fn products(a: vec4<f32>, at: u32) -> vec4<f32> {
    return a.x * from_memory(input_b[at]) + a.y * from_memory(input_b[at + 8u])
        + a.z * from_memory(input_b[at + 16u]) + a.w * from_memory(input_b[at + 24u]);
}

fn store_row(sums: vec4<f32>, row: u32, block: u32) {
    for (var i = 0u; i < 4u; i++) {
        let column = block * 4u + i;
        if (row < p.rows && column < p.count_n) {
            let sum = p.alpha * sums[i] + addend_at(row % p.m, p.first_n + column);
            output[row * p.n + p.first_n + column] = activate(sum, p.activation_a, p.activation_b);
        }
    }
}
