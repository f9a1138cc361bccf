// What this device makes of numbers that are no ordinary ones. They come from a buffer, so that no compiler knows them.
struct Params { count: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> input: array<f32>;

fn truth(holds: bool) -> f32 {
    return select(0.0, 1.0, holds);
}

fn observed(index: u32) -> f32 {
    let nan = input[0];
    let infinity = input[1];
    let negative_zero = input[2];
    let subnormal = input[3];
    let smallest_normal = input[4];
    let one = input[5];
    let zero = input[6];
    let half = input[7];
    // Compilers take a number less itself for zero.
    let other_infinity = input[8];
    switch index {
        case 0u: { return nan; }
        case 1u: { return max(nan, one); }
        case 2u: { return max(one, nan); }
        case 3u: { return min(nan, one); }
        case 4u: { return min(one, nan); }
        case 5u: { return clamp(nan, zero, one); }
        case 6u: { return truth(nan < one); }
        case 7u: { return truth(nan == nan); }
        case 8u: { return truth(nan != nan); }
        case 9u: { return select(nan, zero, nan < zero); }
        case 10u: { return nan * zero; }
        case 11u: { return infinity * zero; }
        case 12u: { return infinity - other_infinity; }
        case 13u: { return one / zero; }
        case 14u: { return exp(infinity); }
        case 15u: { return negative_zero; }
        case 16u: { return one / negative_zero; }
        case 17u: { return subnormal; }
        case 18u: { return subnormal * one; }
        case 19u: { return smallest_normal * half; }
        case 20u: { return truth((bitcast<u32>(nan) & 0x7fffffffu) > 0x7f800000u); }
        default: { return zero; }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if (index < p.count) {
        output[index] = observed(index);
    }
}
