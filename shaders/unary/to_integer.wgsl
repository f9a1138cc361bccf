// The integer next to x on the side of zero: as many of its lowest bits as a says, unsigned where a is negative. What needs more
// than b bits beside the sign, and NaN, counts as -2^b.
fn activate(x: f32, a: f32, b: f32) -> f32 {
    let unused = 32u - u32(abs(a));
    let low = lowest_bits(x, u32(b)) << unused;
    if (a > 0.0) {
        return f32(bitcast<i32>(low) >> unused);
    }
    let value = low >> unused;
    // An integer of 32 bits that f32 has not is NaN, which is refused where it is read.
    if (value != 0u && firstLeadingBit(value) - firstTrailingBit(value) > 23u) {
        return bitcast<f32>(value | 0x7fc00000u);
    }
    return f32(value);
}

// The last 32 bits of the integer, in two's complement.
fn lowest_bits(x: f32, most: u32) -> u32 {
    let bits = bitcast<u32>(x);
    let exponent = (bits >> 23u) & 0xffu;
    if (exponent < 127u) {
        return 0u;
    }
    if (exponent >= 127u + most) {
        return select(0u, 0x80000000u, most == 31u);
    }
    let significand = (bits & 0x7fffffu) | 0x800000u;
    var magnitude = 0u;
    if (exponent < 150u) {
        magnitude = significand >> (150u - exponent);
    } else if (exponent < 182u) {
        magnitude = significand << (exponent - 150u);
    }
    return select(magnitude, 0u - magnitude, bits >= 0x80000000u);
}
