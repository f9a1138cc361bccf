const ROWS = 1u;

fn multiply(row: u32, block: u32) {
    let columns = columns_at(block);
    let a = row_at(row);
    var sums = vec4<f32>();
    for (var k = 0u; k < p.fours; k++) {
        sums += products(from_memory(input_a[a + k]), columns + k * 32u);
    }
    store_row(sums, row, block);
}
