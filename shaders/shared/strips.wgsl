// Strips of neighbouring pixels of a row of the result, one an invocation.
struct Strip { n: u32, oy: u32, ox: u32, exists: bool }

// The places of a strip's results: the first, and how many are stored.
struct Stored { first: u32, count: u32 }

// The row of the input under a tap of an output row; it may lie in the padding.
fn input_row(oy: u32, ky: u32) -> i32 {
    return i32(oy * p.stride_h + ky * p.dilation_h) - p.pad_top;
}

fn inside(at: i32, size: u32) -> bool {
    return at >= 0 && at < i32(size);
}

fn nearest(at: i32, size: u32) -> u32 {
    return u32(clamp(at, 0, i32(size) - 1));
}
