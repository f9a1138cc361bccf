// conv_winograd: 3x3 at a stride of 1 by F(4x4, 3x3). This is the last of its steps: one invocation takes 4 channels of a tile's
// products [6 * 6][c / 4][tile][4] through A^T m A to 4x4 results, for the ic_end tiles from ic_begin on. in_c is what the products'
// channels are padded to. Result by four channels; weights are biases and slopes alone.
// Expects: tiles_down, tiles_across, store_columns, and what conv_by_four expects.

struct Six { at_0: vec4<f32>, at_1: vec4<f32>, at_2: vec4<f32>, at_3: vec4<f32>, at_4: vec4<f32>, at_5: vec4<f32> }
struct Four { at_0: vec4<f32>, at_1: vec4<f32>, at_2: vec4<f32>, at_3: vec4<f32> }

const ROOT_2 = 1.41421356237309504880;

// A^T for the points of winograd_tiles.
fn transformed(m: Six) -> Four {
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
fn row_of(at: u32, points: u32) -> Four {
    return transformed(Six(
        from_memory(input[at]), from_memory(input[at + points]), from_memory(input[at + 2u * points]),
        from_memory(input[at + 3u * points]), from_memory(input[at + 4u * points]), from_memory(input[at + 5u * points]),
    ));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let block = index / p.ic_end;
    if (block >= (p.out_c + 3u) / 4u) {
        return;
    }
    let tile = p.ic_begin + index % p.ic_end;
    let n = tile / (tiles_across() * tiles_down());
    let oy = tile / tiles_across() % tiles_down() * 4u;
    let ox = tile % tiles_across() * 4u;
    // From one point to the next.
    let points = p.in_c / 4u * p.ic_end;
    let r_0 = row_of(index, points);
    let r_1 = row_of(index + 6u * points, points);
    let r_2 = row_of(index + 12u * points, points);
    let r_3 = row_of(index + 18u * points, points);
    let r_4 = row_of(index + 24u * points, points);
    let r_5 = row_of(index + 30u * points, points);
    let c_0 = transformed(Six(r_0.at_0, r_1.at_0, r_2.at_0, r_3.at_0, r_4.at_0, r_5.at_0));
    let c_1 = transformed(Six(r_0.at_1, r_1.at_1, r_2.at_1, r_3.at_1, r_4.at_1, r_5.at_1));
    store_columns(c_0, c_1, n, block, oy, ox);
    let c_2 = transformed(Six(r_0.at_2, r_1.at_2, r_2.at_2, r_3.at_2, r_4.at_2, r_5.at_2));
    let c_3 = transformed(Six(r_0.at_3, r_1.at_3, r_2.at_3, r_3.at_3, r_4.at_3, r_5.at_3));
    store_columns(c_2, c_3, n, block, oy, ox + 2u);
}
