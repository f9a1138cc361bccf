// Each vec4 of b is loaded once for four rows.
const ROWS = 4u;

fn multiply(row: u32, block: u32) {
    let columns = columns_at(block);
    let a_0 = row_at(row);
    let a_1 = row_at(row + 1u);
    let a_2 = row_at(row + 2u);
    let a_3 = row_at(row + 3u);
    var sums_0 = vec4<f32>();
    var sums_1 = vec4<f32>();
    var sums_2 = vec4<f32>();
    var sums_3 = vec4<f32>();
    for (var k = 0u; k < p.fours; k++) {
        let at = columns + k * 32u;
        sums_0 += products(from_memory(input_a[a_0 + k]), at);
        sums_1 += products(from_memory(input_a[a_1 + k]), at);
        sums_2 += products(from_memory(input_a[a_2 + k]), at);
        sums_3 += products(from_memory(input_a[a_3 + k]), at);
    }
    store_row(sums_0, row, block);
    store_row(sums_1, row + 1u, block);
    store_row(sums_2, row + 2u, block);
    store_row(sums_3, row + 3u, block);
}
