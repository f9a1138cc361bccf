// Products of points become results, 4x4 a tile. Expects: product_at, store_columns, tiles_down, tiles_across.
struct Four { at_0: vec4<f32>, at_1: vec4<f32>, at_2: vec4<f32>, at_3: vec4<f32> }

// A^T for the points of tiles_to_points.
fn to_results(m: Six) -> Four {
    let near_even = m.at_1 + m.at_2;
    let near_odd = m.at_1 - m.at_2;
    let far_even = m.at_3 + m.at_4;
    let far_odd = m.at_3 - m.at_4;
    return Four(
        m.at_0 + near_even + far_even,
        0.5 * ROOT_2 * near_odd + ROOT_2 * far_odd,
        0.5 * near_even + 2.0 * far_even,
        0.25 * ROOT_2 * near_odd + 2.0 * ROOT_2 * far_odd + m.at_5,
    );
}

// Of the row of a tile's products that begins here.
fn row_of(at: u32, apart: u32) -> Four {
    return to_results(Six(
        product_at(at), product_at(at + apart), product_at(at + 2u * apart),
        product_at(at + 3u * apart), product_at(at + 4u * apart), product_at(at + 5u * apart),
    ));
}

// The results of 4 channels of a tile whose first product is at `at` and the next ones so far apart.
fn store_results(tile: u32, block: u32, at: u32, apart: u32) {
    let n = tile / (tiles_across() * tiles_down());
    let oy = tile / tiles_across() % tiles_down() * 4u;
    let ox = tile % tiles_across() * 4u;
    let r_0 = row_of(at, apart);
    let r_1 = row_of(at + 6u * apart, apart);
    let r_2 = row_of(at + 12u * apart, apart);
    let r_3 = row_of(at + 18u * apart, apart);
    let r_4 = row_of(at + 24u * apart, apart);
    let r_5 = row_of(at + 30u * apart, apart);
    for (var turn = 0u; turn < 2u; turn++) {
        let left = to_results(Six(
            left_of(r_0, turn), left_of(r_1, turn), left_of(r_2, turn),
            left_of(r_3, turn), left_of(r_4, turn), left_of(r_5, turn),
        ));
        let right = to_results(Six(
            right_of(r_0, turn), right_of(r_1, turn), right_of(r_2, turn),
            right_of(r_3, turn), right_of(r_4, turn), right_of(r_5, turn),
        ));
        store_columns(left, right, n, block, oy, ox + 2u * turn);
    }
}

fn left_of(row: Four, turn: u32) -> vec4<f32> {
    return select(row.at_0, row.at_2, turn == 1u);
}

fn right_of(row: Four, turn: u32) -> vec4<f32> {
    return select(row.at_1, row.at_3, turn == 1u);
}
