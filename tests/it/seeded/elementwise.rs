//! What can go wrong in the kernels that compute each element from those at its place, and normalize rows of them.

use super::others::{CELU, RELU, TAIL};
use super::*;

/// `output[index] = value;` happens only where nothing is stored yet, be it one number or four.
fn stale_each(kernel: &'static str, value: &str) -> Row {
    let store = format!("output[index] = {value};");
    let fresh = match kernel.split_once(' ') {
        Some(_) => "all(from_memory(output[index]) == vec4<f32>())",
        None => "output[index] == 0.0",
    };
    row(kernel, StaleResult, &store, &format!("if ({fresh}) {{ {store} }}"))
}

/// What is used is rounded to 16 bits.
fn half_used(kernel: &'static str, number: &str, used: &str) -> Row {
    let rounded = format!("unpack2x16float(pack2x16float(vec2<f32>({number}, 0.0))).x");
    row(kernel, HalfPrecision, used, &used.replacen(number, &rounded, 1))
}

/// Kernels that compute each element from one, and store this value.
fn each(kernel: &'static str, tail: [&str; 2], value: &str) -> Vec<Row> {
    let item = "input[index - select(0u, p.count / 3u, index >= 2u * (p.count / 3u))]";
    vec![
        row(kernel, TailDropped, tail[0], tail[1]),
        row(kernel, LeakyReluForRelu, RELU[0], RELU[1]),
        row(kernel, EluForCelu, CELU[0], CELU[1]),
        row(kernel, ItemReadsAnother, "input[index]", item),
        half_used(kernel, "x", "(x, p.activation_a"),
        stale_each(kernel, value),
    ]
}

pub fn activations(kernel: &'static str) -> Vec<Row> {
    let tail = ["if (index < p.count) {", "if (index < p.count - 1u) {"];
    each(kernel, tail, "stored(activated(loaded(input[index])))")
}

pub fn affine(kernel: &'static str) -> Vec<Row> {
    let mut rows = each(kernel, TAIL, "stored(activated(loaded(input[index]) * factor + offset))");
    rows.push(row(kernel, TapShifted, "per_channel[c]", "per_channel[(c + 1u) % p.channels]"));
    let offset = "per_channel[p.channels + c]";
    rows.push(row(kernel, BiasOfAnotherChannel, offset, "per_channel[p.channels + (c + 1u) % p.channels]"));
    rows
}

/// Three items of three channels; the second operand has a number for each channel.
pub fn binary(kernel: &'static str) -> Vec<Row> {
    let item = ["a += rest * p", "a += min(rest, 1u) * p"];
    let channel = ["output[index] = of_pairs(a, b)", "output[index] = of_pairs(a, (b + 1u) % 3u)"];
    vec![
        row(kernel, TailDropped, TAIL[0], TAIL[1]),
        row(kernel, BiasOfAnotherChannel, channel[0], channel[1]),
        row(kernel, LeakyReluForRelu, RELU[0], RELU[1]),
        row(kernel, EluForCelu, CELU[0], CELU[1]),
        row(kernel, ItemReadsAnother, item[0], item[1]),
        half_used(kernel, "a", "(a, b), p"),
        half_used(kernel, "b", " b), p"),
        stale_each(kernel, "of_pairs(a, b)"),
    ]
}

/// Nine rows, three for each item, of numbers or of fours.
pub fn normalized([sums, statistics, normalize]: [&'static str; 3], of_fours: bool) -> Vec<Row> {
    let rounded = if of_fours { half_four } else { half };
    let of_sums = "loaded(input[row * p.row + at])";
    let of_squares = "loaded(squares[row * p.splits + part])";
    let of_rows = "loaded(input[start + place])";
    let channel = |number: &str| number.replace("number", "(number + 1u) % p.scales");
    vec![
        row(sums, TailDropped, "at < p.row;", "at < p.row - 1u;"),
        row(sums, ItemReadsAnother, of_sums, &of_sums.replace("row *", "min(row, 5u) *")),
        rounded(sums, of_sums),
        stale_numbers(sums, "output[index]", "total"),
        row(statistics, TailDropped, "part < p.splits;", "part < p.splits - 1u;"),
        row(statistics, ItemReadsAnother, of_squares, &of_squares.replace("row *", "min(row, 5u) *")),
        rounded(statistics, of_squares),
        stale_numbers(statistics, "output[2u * row]", "mean_of(row)"),
        row(normalize, TailDropped, "place < p.segment", "place < p.segment - 1u"),
        row(normalize, ItemReadsAnother, of_rows, &of_rows.replace("start", "min(start, 5u * p.segment)")),
        row(normalize, TapShifted, "per_scale[number]", &channel("per_scale[number]")),
        row(normalize, BiasOfAnotherChannel, "p.scales + number", &channel("p.scales + number")),
        row(normalize, LeakyReluForRelu, RELU[0], RELU[1]),
        row(normalize, EluForCelu, CELU[0], CELU[1]),
        rounded(normalize, of_rows),
        stale_numbers(normalize, "output[start + place]", "activated((x - mean) * inverse * scale + bias)"),
    ]
}
