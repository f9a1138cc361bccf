// top_k: the first k of a row in the order of size, whose elements lie `inner` apart. One invocation counts how many come
// before its element, and stores that where it belongs, if it belongs to the first k: no two elements share a place.

struct Params { count: u32, row: u32, inner: u32, k: u32, least: u32, places: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index >= p.count) {
        return;
    }
    let place = index / p.inner % p.row;
    let outer = index / p.inner / p.row;
    let start = outer * p.row * p.inner + index % p.inner;
    // The smallest are the largest of the negatives.
    let sign = select(1.0, -1.0, p.least != 0u);
    let x = input[start + place * p.inner];
    let own = x * sign;
    let own_is_nan = is_nan(own);
    var before = 0u;
    for (var r = 0u; r < p.row; r++) {
        let other = input[start + r * p.inner] * sign;
        // NaN comes first, and of equal ones the first.
        let is_larger = select(other > own, is_nan(other), own_is_nan || is_nan(other)) && !(own_is_nan && is_nan(other));
        let is_equal = other == own || (own_is_nan && is_nan(other));
        if (is_larger || (is_equal && r < place)) {
            before += 1u;
        }
    }
    if (before < p.k) {
        let to = (outer * p.k + before) * p.inner + index % p.inner;
        output[to] = select(x, f32(place), p.places != 0u);
    }
}
