//! What can go wrong in the kernels that are no convolutions.

use super::elementwise::{activations, affine, binary, normalized};
use super::*;
use crate::parity::kinds::truths;
use crate::parity::rows::normalize;
use reluctor::graph::ValueId;

pub const RELU: [&str; 2] = ["select(x, 0.0, x < 0.0)", "select(x, 0.01 * x, x < 0.0)"];
pub const CELU: [&str; 2] = ["expm1(min(x, 0.0) / a)", "expm1(min(x, 0.0))"];
pub const TAIL: [&str; 2] = ["if (index >= p.count) {", "if (index >= p.count - 1u) {"];

/// Something that the kernel computes.
pub fn case(mut build: Build, kernel: &str, seed: Seed, activation: Activation) -> Case {
    let mut x = match kernel {
        "matmul_direct" => build.input(&[3, 5, 17]),
        "matmul_tile" => build.input(&[3, 5, 16]),
        _ if kernel.ends_with("_four") && kernel.contains(' ') => build.input(&[3, 3, 4, 8]),
        _ => build.input(&IMAGES),
    };
    let channels = |build: &mut Build| Some(build.constant(&[3]));
    let (op, more): (Op, _) = match kernel {
        "pool_window" => (pool(kernel, seed).or(pool(kernel, WindowOffByOne)).unwrap().into(), vec![]),
        "matmul_direct" | "matmul_tile" => {
            let factors = [if kernel == "matmul_tile" { 16 } else { 17 }, 9];
            let op = MatMul { transpose_a: false, transpose_b: false, alpha: 1.0, beta: 1.0, activation };
            (op.into(), vec![Some(build.constant(&factors)), Some(build.constant(&[9]))])
        }
        "activation_each" | "activation_each numbers_four" => (Activate { activation }.into(), vec![]),
        "binary_each" | "binary_each pairs_four" => {
            let op = Binary { function: BinaryFunction::Add, activation };
            (op.into(), vec![Some(build.constant(&[3, 1, 1]))])
        }
        "channel_affine" | "channel_affine numbers_four" => {
            let statistics = [(); 3].map(|()| channels(&mut build));
            let variance = Some(build.positive(&[3]));
            (
                BatchNormalization { epsilon: 1e-5, after: None, activation }.into(),
                [&statistics[..], &[variance]].concat(),
            )
        }
        "row_sums" | "row_statistics" | "normalize_rows" => {
            let y = normalize(&mut build, "y", x, (IMAGES, 91, 91, 3), activation);
            return build.done(&[y]);
        }
        "row_sums numbers_four" | "row_statistics numbers_four" | "normalize_rows numbers_four" => {
            let y = normalize(&mut build, "y", x, ([3, 3, 4, 8], 32, 32, 3), activation);
            return build.done(&[y]);
        }
        "reduce_rows" => (Reduce { kind: ReduceKind::Mean, axes: 2..4 }.into(), vec![]),
        "reduce_each" => (Reduce { kind: ReduceKind::Mean, axes: 3..4 }.into(), vec![]),
        // The image lies by four channels before the pool, after a convolution of one tap a channel; and apart after it.
        "pool_by_four" | "channels_by_four" | "channels_apart" => {
            let filters = build.constant(&[3, 1, 1, 1]);
            let op = Conv { window: window([1, 1], [1, 1], [1, 1], [0; 4]), groups: 3, epilogue: Epilogue::default() };
            if kernel == "channels_by_four" {
                x = build.node("transposed", Transpose { permutation: vec![0, 1, 3, 2] }, &[Some(x)]);
            }
            x = build.node("conv", op, &[Some(x), Some(filters)]);
            match kernel {
                "pool_by_four" => (pool(kernel, seed).or(pool(kernel, WindowOffByOne)).unwrap().into(), vec![]),
                _ => (Transpose { permutation: vec![0, 1, 3, 2] }.into(), vec![]),
            }
        }
        "softmax_rows" => (Softmax { axes: 2..4 }.into(), vec![]),
        "copy_strided" => (Transpose { permutation: vec![0, 2, 3, 1] }.into(), vec![]),
        "pad_each" | "pad_each numbers_four" => {
            if kernel.contains(' ') {
                x = by_four(&mut build, &[3, 4, 4, 8]);
            }
            (Pad { mode: PadMode::Constant(1.5), begin: vec![0, 0, 1, 2], end: vec![0, 0, 2, 1] }.into(), vec![])
        }
        "gather_axis" => {
            (Gather { axis: 3 }.into(), vec![Some(build.constant_of(Tensor::ints((0..13).rev().collect())))])
        }
        "select_each" => {
            // The condition comes first.
            let (a, b) = (x, build.input(&IMAGES));
            x = build.input_of(truths(&IMAGES));
            (Select.into(), vec![Some(a), Some(b)])
        }
        "arg_rows" => {
            // Differences that 16 bits do not show.
            let close = |at: usize| 1.0 + (at * 37 % 101) as f32 * 1e-5;
            let close = (0..IMAGES.iter().product()).map(close).collect();
            x = build.input_of(Tensor::real(&IMAGES, close).unwrap());
            (ArgMost { axis: 3, least: false, last: false }.into(), vec![])
        }
        "top_k" => {
            let close = |at: usize| 1.0 + (at * 37 % 101) as f32 * 1e-5;
            let close = (0..IMAGES.iter().product()).map(close).collect();
            x = build.input_of(Tensor::real(&IMAGES, close).unwrap());
            (TopK { axis: 3, k: 4, least: false, places: true }.into(), vec![])
        }
        "max_unpool" => {
            // The last window holds one pixel, the last of all: something lies there.
            let pool = Pool { kind: PoolKind::Max, window: window([2, 2], [2, 2], [1, 1], [0; 4]), ceil: true };
            let window = Some(pool.window);
            let indices = build.node("indices", PoolIndices { pool, column_major: false }, &[Some(x)]);
            x = build.input(&[3, 3, 4, 7]);
            (MaxUnpool { shape: IMAGES.to_vec(), window }.into(), vec![Some(indices)])
        }
        "resample_axis" | "resample_axis numbers_four" => {
            let (coordinates, interpolation) = (Coordinates::HalfPixel, Interpolation::Linear);
            let (antialias, exclude_outside) = (false, false);
            let (axis, size, scale) = if kernel.contains(' ') { (2, 8, 2.0) } else { (3, 26, 2.0) };
            let op = Resample { axis, size, scale, coordinates, interpolation, antialias, exclude_outside };
            (op.into(), vec![])
        }
        other => panic!("no case for {other}"),
    };
    let y = build.node("node", op, &[&[Some(x)][..], &more].concat());
    build.done(&[y])
}

/// An image that lies by four channels: what a convolution of one tap a channel makes.
fn by_four(build: &mut Build, shape: &[usize]) -> ValueId {
    let (x, filters) = (build.input(shape), build.constant(&[shape[1], 1, 1, 1]));
    let window = window([1, 1], [1, 1], [1, 1], [0; 4]);
    build.node("by four", Conv { window, groups: shape[1], epilogue: Epilogue::default() }, &[Some(x), Some(filters)])
}

pub fn rows() -> Vec<Row> {
    [
        of_images(),
        pool_window(),
        matmul(),
        matmul_tile(),
        activations("activation_each"),
        activations("activation_each numbers_four"),
        binary("binary_each"),
        binary("binary_each pairs_four"),
        affine("channel_affine"),
        affine("channel_affine numbers_four"),
        rows_of(),
        normalized(["row_sums", "row_statistics", "normalize_rows"], false),
        normalized(["row_sums numbers_four", "row_statistics numbers_four", "normalize_rows numbers_four"], true),
        moves(),
        pad("pad_each"),
        pad("pad_each numbers_four"),
        resample("resample_axis"),
        resample("resample_axis numbers_four"),
        places(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_images() -> Vec<Row> {
    let load = "from_memory(input[plane + u32(y) * p.out_w + u32(x)])";
    let plane = "index / pixels * p.out_h * p.out_w";
    let item = "let n = index / (p.pixels * p.blocks);";
    let of_another = "let n = min(index / (p.pixels * p.blocks), 1u);";
    let one_place = "unpack2x16float(pack2x16float(four.xy))";
    vec![
        row("pool_by_four", TailDropped, TAIL[0], TAIL[1]),
        row("pool_by_four", ItemReadsAnother, plane, "min(index / pixels, 1u) * p.out_h * p.out_w"),
        half_four("pool_by_four", load),
        stale_four("pool_by_four", "output[index]", "pooled(state, taken, index % pixels)"),
        row("channels_by_four", TailDropped, TAIL[0], TAIL[1]),
        row("channels_by_four", ItemReadsAnother, item, of_another),
        row(
            "channels_by_four",
            HalfPrecision,
            "to_memory(four)",
            &format!("to_memory(vec4<f32>({one_place}, four.zw))"),
        ),
        stale_four("channels_by_four", "output[index]", "four"),
        row("channels_apart", TailDropped, TAIL[0], TAIL[1]),
        row(
            "channels_apart",
            ItemReadsAnother,
            "input[index]",
            "input[index - select(0u, p.count / 3u, index >= 2u * (p.count / 3u))]",
        ),
        row(
            "channels_apart",
            HalfPrecision,
            "= four[i];",
            "= unpack2x16float(pack2x16float(vec2<f32>(four[i], 0.0))).x;",
        ),
        stale("channels_apart", "output[(n * p.channels + block * 4u + i) * p.pixels + pixel]", "four[i]"),
    ]
}

fn pool_window() -> Vec<Row> {
    let kernel = "pool_window";
    let load = "input[((n * p.out_c + c) * p.out_h + y) * p.out_w + x]";
    let shifted = "p.pool.dilation_w) - p.pool.pad_left + 1;";
    vec![
        row(kernel, TailDropped, TAIL[0], TAIL[1]),
        row(kernel, ItemReadsAnother, load, &load.replace("n *", "min(n, 1u) *")),
        row(kernel, WindowOffByOne, "p.pool.dilation_w) - p.pool.pad_left;", shifted),
        row(kernel, MeanWindowOffByOne, "p.pool.dilation_w) - p.pool.pad_left;", shifted),
        half(kernel, load),
        stale(kernel, "output[to.at]", "most"),
    ]
}

fn matmul() -> Vec<Row> {
    let kernel = "matmul_direct";
    vec![
        row(kernel, TapShifted, "b + k * p.b_row", "b + select(k, 3u, k == 2u) * p.b_row"),
        row(kernel, TailDropped, "k < p.k_end;", "k < p.k_end - 1u;"),
        row(kernel, TailDropped, TAIL[0], TAIL[1]),
        row(kernel, BiasOfAnotherChannel, "column * p.c_column", "(column + 1u) % p.n * p.c_column"),
        row(kernel, LeakyReluForRelu, RELU[0], RELU[1]),
        row(kernel, EluForCelu, CELU[0], CELU[1]),
        row(kernel, ItemReadsAnother, "var rest = batch;", "var rest = min(batch, 1u);"),
        half(kernel, "input_a[a + k * p.a_column]"),
        half(kernel, "input_b[b + k * p.b_row]"),
        stale(kernel, "output[to]", "sum"),
    ]
}

/// Of four rows an invocation.
fn matmul_tile() -> Vec<Row> {
    let kernel = "matmul_tile";
    vec![
        row(kernel, TapShifted, "input_b[at + 8u]", "input_b[at + 16u]"),
        row(kernel, TailDropped, "k < p.fours;", "k < p.fours - 1u;"),
        row(kernel, TailDropped, TAIL[0], TAIL[1]),
        row(kernel, BiasOfAnotherChannel, "column * p.c_column", "(column + 1u) % p.n * p.c_column"),
        row(kernel, LeakyReluForRelu, RELU[0], RELU[1]),
        row(kernel, EluForCelu, CELU[0], CELU[1]),
        row(kernel, ItemReadsAnother, "min(row, p.rows - 1u)", "min(row, 9u)"),
        half(kernel, "a.x"),
        half(kernel, "sums[i]"),
        stale(kernel, "output[row * p.n + p.first_n + column]", "activate(sum, p.activation_a, p.activation_b)"),
    ]
}

fn places() -> Vec<Row> {
    let block = "let block = index / (p.inner * p.out_size);";
    let of_another = "let block = index / (p.inner * p.out_size) - select(0u, 21u, index >= 546u);";
    let start = "let start = index / p.inner * p.row";
    vec![
        row("gather_axis", TailDropped, TAIL[0], TAIL[1]),
        row("gather_axis", ItemReadsAnother, block, of_another),
        half("gather_axis", "input[(block * p.in_size + place) * p.inner + index % p.inner]"),
        stale("gather_axis", "output[index]", "input[(block * p.in_size + place) * p.inner + index % p.inner]"),
        row("select_each", TailDropped, TAIL[0], TAIL[1]),
        row("select_each", ItemReadsAnother, "input_a[a]", "input_a[a - select(0u, 273u, a >= 546u)]"),
        half("select_each", "input_b[b]"),
        stale("select_each", "output[index]", "select(input_b[b], input_a[a], condition[c] != 0.0)"),
        row("arg_rows", TailDropped, "r < p.row;", "r < p.row - 1u;"),
        row(
            "arg_rows",
            ItemReadsAnother,
            start,
            "let start = (index - select(0u, 21u, index >= 42u)) / p.inner * p.row",
        ),
        half("arg_rows", "input[start + r * p.inner]"),
        stale("arg_rows", "output[index]", "f32(place)"),
        row("max_unpool", TailDropped, TAIL[0], TAIL[1]),
        row("max_unpool", ItemReadsAnother, "input[from_at]", "input[from_at - select(0u, 84u, from_at >= 168u)]"),
        half("max_unpool", "input[from_at]"),
        stale("max_unpool", "output[index]", "value"),
        row("top_k", TailDropped, "r < p.row;", "r < p.row - 1u;"),
        row(
            "top_k",
            ItemReadsAnother,
            "let start = outer * p.row",
            "let start = (outer - select(0u, 21u, outer >= 42u)) * p.row",
        ),
        half("top_k", "input[start + r * p.inner]"),
        stale("top_k", "output[to]", "select(x, f32(place), p.places != 0u)"),
    ]
}

/// Nine rows, three for each item; `reduce_each` has 63.
fn rows_of() -> Vec<Row> {
    let item = ["let start = index / p.inner", "let start = select(index, index - 3u, index >= 6u) / p.inner"];
    let summed = "r < p.row; r += WORKGROUP) {\n        sum +=";
    vec![
        row("reduce_rows", TailDropped, "r < p.row;", "r < p.row - 1u;"),
        row("reduce_rows", ItemReadsAnother, item[0], item[1]),
        half("reduce_rows", "input[start + r * p.inner]"),
        stale("reduce_rows", "output[index]", "complete(partial[0])"),
        row("reduce_each", TailDropped, "r < p.row;", "r < p.row - 1u;"),
        row("reduce_each", ItemReadsAnother, item[0], &item[1].replace("3u", "21u").replace("6u", "42u")),
        half("reduce_each", "input[start + r * p.inner]"),
        stale("reduce_each", "output[index]", "complete(total)"),
        row("softmax_rows", TailDropped, summed, &summed.replace("p.row", "p.row - 1u")),
        row("softmax_rows", ItemReadsAnother, item[0], item[1]),
        half("softmax_rows", "input[at]"),
        stale("softmax_rows", "output[at]", "exp(input[at] - most) / sum"),
    ]
}

/// Three items of three channels, or of four that lie side by side.
fn pad(kernel: &'static str) -> Vec<Row> {
    let load = "loaded(input[from_at])";
    let (items, half) = match kernel {
        "pad_each" => ("min(rest, 5u)", half(kernel, load)),
        _ => ("min(rest, 1u)", half_four(kernel, load)),
    };
    vec![
        row(kernel, TailDropped, TAIL[0], TAIL[1]),
        row(kernel, ItemReadsAnother, "source_along(p.first, rest)", &format!("source_along(p.first, {items})")),
        row(kernel, WindowOffByOne, "i32(place) - p", "i32(place) + select(0, 1, axis == 7u) - p"),
        half,
        stale_numbers(kernel, "output[index]", "value"),
    ]
}

/// Three items of lines along the last axis, or of lines of fours along the one before it.
fn resample(kernel: &'static str) -> Vec<Row> {
    let load = "loaded(input[start + u32(table[at]) * p.inner])";
    let (of_another, half) = match kernel {
        "resample_axis" => ("select(block, block - 21u, block >= 42u)", half(kernel, load)),
        _ => ("select(block, block - 3u, block >= 6u)", half_four(kernel, load)),
    };
    vec![
        row(kernel, TapShifted, "table[at + 1u]", "table[(at ^ 2u) + 1u]"),
        row(kernel, TailDropped, TAIL[0], TAIL[1]),
        row(kernel, ItemReadsAnother, "let start = block *", &format!("let start = {of_another} *")),
        half,
        stale_numbers(kernel, "output[index]", "sum"),
    ]
}

fn moves() -> Vec<Row> {
    vec![
        row("copy_strided", TailDropped, TAIL[0], TAIL[1]),
        // An item has 273 elements.
        row(
            "copy_strided",
            ItemReadsAnother,
            "input[from_at]",
            "input[select(from_at, from_at - 273, from_at >= 546)]",
        ),
        half("copy_strided", "input[from_at]"),
        stale("copy_strided", "output[to_at]", "input[from_at]"),
    ]
}
