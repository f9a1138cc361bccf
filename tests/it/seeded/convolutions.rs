//! What can go wrong in convolutions. The parts are shared, and so are most edits.

use super::{Row, Seed::*, half, row, stale, stale_four};

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for kernel in ["conv_direct", "conv_tile", "conv_transpose_direct"] {
        rows.extend(shared(kernel));
    }
    rows.extend(one_element_an_invocation("conv_direct", "input[line + u32(ix)]"));
    rows.extend(one_element_an_invocation("conv_transpose_direct", "input[line + ix]"));
    rows.extend(tile("conv_tile"));
    rows.extend(subgroup("conv_subgroup"));
    rows.extend(stem("conv_stem"));
    rows.extend(depthwise("conv_depthwise"));
    rows.extend(gemm("conv_gemm"));
    rows.extend(in_place("conv_gemm", "place % 2u, n", "place % 2u + 1u, n"));
    rows.extend(in_place("conv_gemm", "* 2u + place / 2u", "* 2u + place % 2u"));
    rows.extend(gemm("conv_join"));
    rows.extend(join("conv_join"));
    rows.extend(phases("conv_transpose_phases"));
    rows.extend(winograd("conv_winograd"));
    rows.extend(winograd_tiles("winograd_tiles"));
    rows.extend(winograd_results("winograd_results"));
    rows
}

/// In the parts that every convolution is linked with.
fn shared(kernel: &'static str) -> [Row; 5] {
    let window = ["p.pool.dilation_w) - p.pool.pad_left;", "p.pool.dilation_w) - p.pool.pad_left + 1;"];
    [
        row(kernel, LeakyReluForRelu, "select(x, 0.0, x < 0.0)", "select(x, 0.01 * x, x < 0.0)"),
        row(kernel, EluForCelu, "expm1(min(x, 0.0) / a)", "expm1(min(x, 0.0))"),
        row(kernel, ItemReadsAnother, "let first_ic = n * p.in_c", "let first_ic = min(n, 1u) * p.in_c"),
        row(kernel, WindowOffByOne, window[0], window[1]),
        row(kernel, MeanWindowOffByOne, window[0], window[1]),
    ]
}

fn one_element_an_invocation(kernel: &'static str, load: &str) -> Vec<Row> {
    let [weight, bias] = ["weights[filter_line + kx]", "weights[p.bias_at + oc - p.first_c]"];
    vec![
        row(kernel, TapShifted, weight, "weights[filter_line + select(kx, 2u, kx == 1u)]"),
        row(kernel, TailDropped, "ic < p.ic_end;", "ic < p.ic_end - 1u;"),
        row(kernel, TailDropped, "if (index >= p.count) {", "if (index >= p.count - 1u) {"),
        row(kernel, BiasOfAnotherChannel, bias, "weights[p.bias_at + (oc + 1u) % p.count_c]"),
        half(kernel, load),
        half(kernel, weight),
        stale(kernel, "output[to.at]", "element(to.n, to.c, to.y, to.x)"),
    ]
}

fn tile(kernel: &'static str) -> Vec<Row> {
    let bias = "let at = oc - p.first_c;\n    return from_memory(weights[p.bias_at";
    let value = "finish(sum[i], n, oc, pixel / p.out_w, pixel % p.out_w)";
    vec![
        row(kernel, TapShifted, "weights[filter_at]", "weights[filter_at + select(0u, 1u, kx == 1u)]"),
        row(kernel, TailDropped, "ic < p.in_c_per_group;", "ic < p.in_c_per_group - 1u;"),
        row(kernel, TailDropped, "p.count_c - block * 4u", "p.count_c - 1u - block * 4u"),
        row(kernel, BiasOfAnotherChannel, bias, &bias.replace("oc - p.first_c", "(oc + 1u) % p.count_c")),
        half(kernel, "input[index]"),
        stale(kernel, "output[at]", value),
    ]
}

/// In the parts of the convolutions whose results lie by four channels; a pool of any window after them is a dispatch of its own.
/// `stores` is what is stored, and where.
fn by_four(kernel: &'static str, stores: [&str; 2]) -> [Row; 8] {
    let window = ["let corner_x = i32(", "let corner_x = 1 + i32("];
    let bias = "p.bias_at + block - p.first_c / 4u";
    [
        row(kernel, LeakyReluForRelu, "select(x, 0.0, x < 0.0)", "select(x, 0.01 * x, x < 0.0)"),
        row(kernel, EluForCelu, "expm1(min(x, 0.0) / a)", "expm1(min(x, 0.0))"),
        row(kernel, WindowOffByOne, window[0], window[1]),
        row(kernel, MeanWindowOffByOne, window[0], window[1]),
        row(
            kernel,
            BiasOfAnotherChannel,
            &format!("from_memory(weights[{bias}])"),
            &format!("from_memory(weights[{bias}]).yzwx"),
        ),
        row(kernel, TailDropped, "channels < vec4<u32>(p.out_c)", "channels < vec4<u32>(p.out_c - 1u)"),
        half(kernel, "whole.x"),
        stale_four(kernel, stores[0], stores[1]),
    ]
}

fn subgroup(kernel: &'static str) -> Vec<Row> {
    let mut rows = by_four(kernel, ["output[to.first + pixel]", "finished"]).to_vec();
    rows.push(row(kernel, TapShifted, "weights[weight_at + 16u]", "weights[weight_at + 32u]"));
    rows.push(row(kernel, ItemReadsAnother, "return (n * blocks + group", "return (min(n, 1u) * blocks + group"));
    rows.extend(in_place(kernel, "per_row * pixels, index / 2u", "per_row * pixels + 1u, index / 2u"));
    rows.extend(in_place(kernel, "subgroupShuffleXor(across, 1u)", "subgroupShuffleXor(across, 2u)"));
    rows
}

/// In a pool in the same dispatch as its convolution: in the place of its windows, or in what belongs to one.
fn in_place(kernel: &'static str, find: &str, replace: &str) -> [Row; 2] {
    [WindowOffByOneInPlace, MeanWindowOffByOneInPlace].map(|seed| row(kernel, seed, find, replace))
}

fn stem(kernel: &'static str) -> Vec<Row> {
    let mut rows = by_four(kernel, ["output[to.first + pixel]", "finished"]).to_vec();
    rows.push(row(kernel, TapShifted, "weights[weight_at + 8u]", "weights[weight_at + 4u]"));
    rows.push(row(kernel, TailDropped, "ic < p.in_c;", "ic < p.in_c - 1u;"));
    rows.push(row(kernel, ItemReadsAnother, "(n * p.in_c * p.in_h", "(min(n, 1u) * p.in_c * p.in_h"));
    // Windows of maxima, down which an invocation goes.
    for padding in ["- p.pool.pad_left", "- p.pool.pad_top"] {
        rows.push(row(kernel, WindowOffByOneInPlace, padding, &format!("+ 1 {padding}")));
    }
    rows
}

fn depthwise(kernel: &'static str) -> Vec<Row> {
    let mut rows = by_four(kernel, ["output[first + pixel]", "finished"]).to_vec();
    rows.push(row(kernel, TapShifted, "weights[weight_at + 1u]", "weights[weight_at + 2u]"));
    rows.push(row(kernel, ItemReadsAnother, "let plane = (n *", "let plane = (min(n, 1u) *"));
    rows.extend(in_place(kernel, "oy, at.ox)", "oy, at.ox + 1u)"));
    rows.extend(in_place(kernel, "at.oy * 2u + ky", "at.oy * 2u + 1u"));
    rows
}

/// In tiles of 32 channels.
fn gemm(kernel: &'static str) -> Vec<Row> {
    let mut rows = by_four(kernel, ["output[at]", "finish_four(sums, n, block, oy, ox)"]).to_vec();
    rows.push(row(kernel, TapShifted, "weights[filter_at + 0u]", "weights[filter_at + 32u]"));
    rows.push(row(kernel, TailDropped, "(end_channel + 3u) / 4u", "end_channel / 4u"));
    rows.push(row(kernel, TailDropped, "(taps * in_blocks + SLAB - 1u)", "(taps * in_blocks)"));
    rows.push(row(kernel, ItemReadsAnother, "at.n * ((p.in_c + 3u) / 4u)", "min(at.n, 1u) * ((p.in_c + 3u) / 4u)"));
    rows
}

/// Both transforms in one kernel.
fn winograd(kernel: &'static str) -> Vec<Row> {
    let mut rows = by_four(kernel, ["output[at]", "finished"]).to_vec();
    rows.extend(of_points(kernel));
    rows.extend(of_products(kernel));
    rows.push(row(kernel, TailDropped, "let in_blocks = (p.in_c + 3u) / 4u;", "let in_blocks = p.in_c / 4u;"));
    rows.push(row(kernel, TailDropped, "unit < units;", "unit + 1u < units;"));
    rows.push(row(kernel, TailDropped, "if (tile < tiles) {", "if (tile + 1u < tiles) {"));
    rows.extend(in_place(kernel, "oy + 2u, ox)", "oy + 1u, ox)"));
    rows.extend(in_place(kernel, "left.at_2, right.at_2, left.at_3", "left.at_2, right.at_1, left.at_3"));
    rows
}

fn winograd_tiles(kernel: &'static str) -> Vec<Row> {
    let mut rows = of_points(kernel).to_vec();
    rows.push(row(kernel, TailDropped, "let blocks = (p.in_c + 3u) / 4u;", "let blocks = p.in_c / 4u;"));
    rows.push(stale_four(kernel, "output[at]", "point"));
    rows
}

fn winograd_results(kernel: &'static str) -> Vec<Row> {
    let mut rows = by_four(kernel, ["output[at]", "finished"]).to_vec();
    let per_item = "tiles_across() * tiles_down()";
    let another = format!("block, index - select(0u, {per_item}, index % p.ic_end >= 2u * {per_item}), p.in_c");
    rows.extend(of_products(kernel));
    rows.push(row(kernel, TailDropped, "(block >= (p.out_c + 3u) / 4u)", "(block >= p.out_c / 4u)"));
    rows.push(row(kernel, ItemReadsAnother, "block, index, p.in_c", &another));
    rows
}

/// In the transform of pixels.
fn of_points(kernel: &'static str) -> [Row; 4] {
    let load = "from_memory(input[row + u32(clamp(ix, 0, i32(p.in_w) - 1))])";
    [
        row(kernel, TapShifted, "pixel(row, iy, ix + 3)", "pixel(row, iy, ix + 2)"),
        row(kernel, TailDropped, "ix < i32(p.in_w);", "ix < i32(p.in_w) - 1;"),
        row(kernel, ItemReadsAnother, "let plane = (n *", "let plane = (min(n, 1u) *"),
        row(kernel, HalfPrecision, load, &format!("unpack2x16float(pack2x16float({load}.xy)).xyxy")),
    ]
}

/// In the transform of products.
fn of_products(kernel: &'static str) -> [Row; 2] {
    [
        row(kernel, TapShifted, "product_at(at + 3u * apart)", "product_at(at + 4u * apart)"),
        row(kernel, TapShifted, "select(row.at_0, row.at_2, turn == 1u)", "select(row.at_0, row.at_1, turn == 1u)"),
    ]
}

fn join(kernel: &'static str) -> [Row; 2] {
    let item = "input[((split * p.count + n)";
    [
        row(kernel, TailDropped, "split < splits;", "split + 1u < splits;"),
        row(kernel, ItemReadsAnother, item, &item.replace(" + n", " + min(n, 1u)")),
    ]
}

fn phases(kernel: &'static str) -> Vec<Row> {
    let mut rows = by_four(kernel, ["output[at]", "finish_four(sums, n, block, oy, ox)"]).to_vec();
    let column = "x / p.k_w]";
    rows.push(row(kernel, TapShifted, column, "min(x / p.k_w + 1u, p.in_w - 1u)]"));
    rows.push(row(kernel, TailDropped, "(index >= p.count * blocks", "(index + 1u >= p.count * blocks"));
    rows.push(row(kernel, ItemReadsAnother, "let plane = (n *", "let plane = (min(n, 1u) *"));
    rows
}
