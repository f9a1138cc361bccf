// Pixels of an image by four channels become points, 6x6 for a tile of 4x4 results. Expects: store_point, tiles_down, tiles_across.

// B^T for the points 0, 1 / sqrt(2), -1 / sqrt(2), sqrt(2), -sqrt(2) and infinity.
fn to_points(d: Six) -> Six {
    let near_even = d.at_4 - 2.0 * d.at_2;
    let near_odd = 0.5 * ROOT_2 * d.at_3 - ROOT_2 * d.at_1;
    let far_even = d.at_4 - 0.5 * d.at_2;
    let far_odd = ROOT_2 * d.at_3 - 0.5 * ROOT_2 * d.at_1;
    return Six(
        d.at_0 - 2.5 * d.at_2 + d.at_4,
        near_even + near_odd, near_even - near_odd,
        far_even + far_odd, far_even - far_odd,
        d.at_1 - 2.5 * d.at_3 + d.at_5,
    );
}

fn pixel(row: u32, iy: i32, ix: i32) -> vec4<f32> {
    let inside = iy >= 0 && iy < i32(p.in_h) && ix >= 0 && ix < i32(p.in_w);
    return select(vec4<f32>(), from_memory(input[row + u32(clamp(ix, 0, i32(p.in_w) - 1))]), inside);
}

fn row_under(plane: u32, iy: i32, ix: i32) -> Six {
    let row = plane + u32(clamp(iy, 0, i32(p.in_h) - 1)) * p.in_w;
    return to_points(Six(
        pixel(row, iy, ix), pixel(row, iy, ix + 1), pixel(row, iy, ix + 2),
        pixel(row, iy, ix + 3), pixel(row, iy, ix + 4), pixel(row, iy, ix + 5),
    ));
}

// The points of a column, of which the first is stored at `at` and the next ones so far apart.
fn store_column_of_points(at: u32, apart: u32, column: Six) {
    let v = to_points(column);
    store_point(at, v.at_0);
    store_point(at + 6u * apart, v.at_1);
    store_point(at + 12u * apart, v.at_2);
    store_point(at + 18u * apart, v.at_3);
    store_point(at + 24u * apart, v.at_4);
    store_point(at + 30u * apart, v.at_5);
}

// Of 4 channels of the 6x6 pixels under a tile of 4x4 results.
fn store_points(tile: u32, block: u32, at: u32, apart: u32) {
    let across = tiles_across();
    let down = tiles_down();
    let n = tile / (across * down);
    let iy = i32(tile / across % down * 4u) - p.pad_top;
    let ix = i32(tile % across * 4u) - p.pad_left;
    let plane = (n * ((p.in_c + 3u) / 4u) + block) * p.in_h * p.in_w;
    let r_0 = row_under(plane, iy, ix);
    let r_1 = row_under(plane, iy + 1, ix);
    let r_2 = row_under(plane, iy + 2, ix);
    let r_3 = row_under(plane, iy + 3, ix);
    let r_4 = row_under(plane, iy + 4, ix);
    let r_5 = row_under(plane, iy + 5, ix);
    // In turns: written out, the stores take longer to compile than all the rest.
    for (var turn = 0u; turn < 6u; turn++) {
        let column = Six(
            point_of(r_0, turn), point_of(r_1, turn), point_of(r_2, turn),
            point_of(r_3, turn), point_of(r_4, turn), point_of(r_5, turn),
        );
        store_column_of_points(at + turn * apart, apart, column);
    }
}

fn point_of(row: Six, turn: u32) -> vec4<f32> {
    let left = select(select(row.at_0, row.at_1, turn == 1u), row.at_2, turn == 2u);
    let right = select(select(row.at_3, row.at_4, turn == 4u), row.at_5, turn == 5u);
    return select(left, right, turn > 2u);
}
