// row_sums: parts of the sum of each row, or of the sum of its squared distances from the mean. One invocation adds up every
// `splits`-th element of a row. Expects: term, Element, Numbers, loaded, stored.

struct Params { rows: u32, row: u32, splits: u32, scale: f32, epsilon: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> input: array<Element>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.rows * p.splits) {
        return;
    }
    let row = index / p.splits;
    let centre = centre_of(row);
    var total = Numbers();
    for (var at = index - row * p.splits; at < p.row; at += p.splits) {
        total += term(loaded(input[row * p.row + at]), centre);
    }
    output[index] = stored(total);
}
