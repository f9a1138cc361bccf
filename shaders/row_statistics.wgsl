// row_statistics: mean and 1 / sqrt(variance + epsilon) of each row, side by side, from the parts of its sums. One invocation
// computes those of one row, or of four. Expects: mean_of, Element, Numbers, loaded, stored, along_row.

struct Params { rows: u32, row: u32, splits: u32, scale: f32, epsilon: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> sums: array<Element>;
@group(0) @binding(3) var<storage, read> squares: array<Element>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation_index(id, groups);
    if (row >= p.rows) {
        return;
    }
    var squared = Numbers();
    for (var part = 0u; part < p.splits; part++) {
        squared += loaded(squares[row * p.splits + part]);
    }
    let variance = along_row(squared) * p.scale;
    output[2u * row] = stored(mean_of(row));
    output[2u * row + 1u] = stored(1.0 / sqrt(variance + p.epsilon));
}
