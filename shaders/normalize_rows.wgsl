// normalize_rows: activate(scale (x - mean) / deviation + bias). A segment is neighbouring elements of one row. One invocation
// computes eight elements of one. Expects: activate, OWN_SCALES, Element, Numbers, loaded, stored, activated.

struct Params {
    row: u32, segment: u32, segments: u32, chunks: u32, inner: u32, scales: u32, activation_a: f32, activation_b: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> input: array<Element>;
// Mean and 1 / deviation of each row.
@group(0) @binding(3) var<storage, read> statistics: array<Element>;
// The scales, and then the biases.
@group(0) @binding(4) var<storage, read> per_scale: array<Element>;

const STEPS: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group_index(group, groups);
    let segment = index / p.chunks;
    if (segment >= p.segments) {
        return;
    }
    let start = segment * p.segment;
    let row = start / p.row;
    let mean = loaded(statistics[2u * row]);
    let inverse = loaded(statistics[2u * row + 1u]);
    var number = start / p.inner % p.scales;
    var scale = loaded(per_scale[number]);
    var bias = loaded(per_scale[p.scales + number]);
    let first = (index - segment * p.chunks) * WORKGROUP * STEPS + lane;
    for (var step = 0u; step < STEPS; step++) {
        let place = first + step * WORKGROUP;
        if (place < p.segment) {
            if (OWN_SCALES) {
                number = place / p.inner % p.scales;
                scale = loaded(per_scale[number]);
                bias = loaded(per_scale[p.scales + number]);
            }
            let x = loaded(input[start + place]);
            output[start + place] = stored(activated((x - mean) * inverse * scale + bias));
        }
    }
}
