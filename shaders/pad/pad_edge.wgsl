// The nearest element.
fn source_index(place: i32, size: i32) -> i32 {
    return clamp(place, 0, size - 1);
}
