// winograd_tiles: the first step of conv_winograd. One invocation takes 4 channels of the 6x6 pixels under a tile of 4x4
// results through B^T d B. Image by four channels; result [6 * 6][c / 4][tile][4], for the ic_end tiles from ic_begin on.
// Expects: nothing.
@group(0) @binding(1) var<storage, read_write> output: array<InMemory>;

struct Six { at_0: vec4<f32>, at_1: vec4<f32>, at_2: vec4<f32>, at_3: vec4<f32>, at_4: vec4<f32>, at_5: vec4<f32> }

const ROOT_2 = 1.41421356237309504880;

// B^T for the points 0, 1 / sqrt(2), -1 / sqrt(2), sqrt(2), -sqrt(2) and infinity.
fn transformed(d: Six) -> Six {
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

fn row_of(plane: u32, iy: i32, ix: i32) -> Six {
    let row = plane + u32(clamp(iy, 0, i32(p.in_h) - 1)) * p.in_w;
    return transformed(Six(
        pixel(row, iy, ix), pixel(row, iy, ix + 1), pixel(row, iy, ix + 2),
        pixel(row, iy, ix + 3), pixel(row, iy, ix + 4), pixel(row, iy, ix + 5),
    ));
}

fn store_column(at: u32, points: u32, column: Six) {
    let v = transformed(column);
    output[at] = to_memory(v.at_0);
    output[at + 6u * points] = to_memory(v.at_1);
    output[at + 12u * points] = to_memory(v.at_2);
    output[at + 18u * points] = to_memory(v.at_3);
    output[at + 24u * points] = to_memory(v.at_4);
    output[at + 30u * points] = to_memory(v.at_5);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let blocks = (p.in_c + 3u) / 4u;
    let block = index / p.ic_end;
    if (block >= blocks) {
        return;
    }
    let tile = p.ic_begin + index % p.ic_end;
    let across = (p.out_w + 3u) / 4u;
    let down = (p.out_h + 3u) / 4u;
    let n = tile / (across * down);
    let iy = i32(tile / across % down * 4u) - p.pad_top;
    let ix = i32(tile % across * 4u) - p.pad_left;
    let plane = (n * blocks + block) * p.in_h * p.in_w;
    let r_0 = row_of(plane, iy, ix);
    let r_1 = row_of(plane, iy + 1, ix);
    let r_2 = row_of(plane, iy + 2, ix);
    let r_3 = row_of(plane, iy + 3, ix);
    let r_4 = row_of(plane, iy + 4, ix);
    let r_5 = row_of(plane, iy + 5, ix);
    // From one point to the next.
    let points = blocks * p.ic_end;
    store_column(index, points, Six(r_0.at_0, r_1.at_0, r_2.at_0, r_3.at_0, r_4.at_0, r_5.at_0));
    store_column(index + points, points, Six(r_0.at_1, r_1.at_1, r_2.at_1, r_3.at_1, r_4.at_1, r_5.at_1));
    store_column(index + 2u * points, points, Six(r_0.at_2, r_1.at_2, r_2.at_2, r_3.at_2, r_4.at_2, r_5.at_2));
    store_column(index + 3u * points, points, Six(r_0.at_3, r_1.at_3, r_2.at_3, r_3.at_3, r_4.at_3, r_5.at_3));
    store_column(index + 4u * points, points, Six(r_0.at_4, r_1.at_4, r_2.at_4, r_3.at_4, r_4.at_4, r_5.at_4));
    store_column(index + 5u * points, points, Six(r_0.at_5, r_1.at_5, r_2.at_5, r_3.at_5, r_4.at_5, r_5.at_5));
}
