// Mirrored at the first and last element: a walk there and back takes 2 (size - 1) steps, and is the same backwards.
fn source_index(place: i32, size: i32) -> i32 {
    let period = max(2 * (size - 1), 1);
    let folded = i32(u32(abs(place)) % u32(period));
    return min(min(folded, period - folded), size - 1);
}
