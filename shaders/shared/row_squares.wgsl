// The parts of the rows' sums.
@group(0) @binding(3) var<storage, read> sums: array<Element>;

fn centre_of(row: u32) -> Numbers {
    return mean_of(row);
}

fn term(x: Numbers, centre: Numbers) -> Numbers {
    let distance = x - centre;
    return distance * distance;
}
