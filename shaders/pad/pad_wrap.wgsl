// Over and over. WGSL's remainder has the dividend's sign.
fn source_index(place: i32, size: i32) -> i32 {
    return ((place % size) + size) % size;
}
