// resample_axis: each output is a weighted sum of inputs along one axis. One invocation computes one element, or four that lie
// side by side. Expects: Element, Numbers, loaded, stored.

struct Params { in_size: u32, out_size: u32, inner: u32, taps: u32, count: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> input: array<Element>;
// For each place along the axis, `taps` pairs: an input's place, a whole number, and its weight.
@group(0) @binding(3) var<storage, read> table: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let line = index / p.inner;
    let block = line / p.out_size;
    let place = line - block * p.out_size;
    let start = block * p.in_size * p.inner + index - line * p.inner;
    var sum = Numbers();
    for (var tap = 0u; tap < p.taps; tap++) {
        let at = 2u * (place * p.taps + tap);
        sum += loaded(input[start + u32(table[at]) * p.inner]) * table[at + 1u];
    }
    output[index] = stored(sum);
}
