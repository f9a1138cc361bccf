fn source_index(place: i32, size: i32) -> i32 {
    return select(-1, place, place >= 0 && place < size);
}
