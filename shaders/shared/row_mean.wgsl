fn mean_of(row: u32) -> Numbers {
    var total = Numbers();
    for (var part = 0u; part < p.splits; part++) {
        total += loaded(sums[row * p.splits + part]);
    }
    return along_row(total) * p.scale;
}
