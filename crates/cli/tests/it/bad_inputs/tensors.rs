//! Constants whose elements are not what their declaration says.

use super::Case;
use super::bytes::{field, sum_with, tensor};

pub fn cases() -> Vec<Case> {
    let raw = |bytes: usize| field(9, vec![0; bytes]);
    let floats = |count: usize| field(4, vec![0; 4 * count]);
    let case = |name: &str, dims: &[i64], data_type: i64, rest: &[Vec<u8>]| {
        Case::model(name, sum_with(tensor("w", dims, data_type, rest)))
    };
    let mut cases = vec![
        case("one byte too few", &[2], 1, &[raw(7)]).refused(4, "tensor 'w'"),
        case("one byte too many", &[2], 1, &[raw(9)]).refused(4, "tensor 'w'"),
        case("no elements", &[2], 1, &[]).refused(4, "tensor 'w'"),
        case("one number too many", &[2], 1, &[floats(3)]).refused(4, "tensor 'w'"),
        case("numbers of another type", &[2], 1, &[field(7, [0, 0])]).refused(4, "tensor 'w'"),
        case("2^32 by 2^32 elements", &[1 << 32, 1 << 32], 1, &[raw(8)]).refused(4, "tensor 'w'"),
        case("2^40 elements", &[1 << 40], 1, &[raw(8)]).refused(4, "tensor 'w'"),
        case("2^60 elements", &[1 << 60], 1, &[raw(8)]).refused(4, "tensor 'w'"),
        case("2^32 by 2^32 by 0 elements", &[1 << 32, 1 << 32, 0], 1, &[raw(0)]).refused(4, "tensor 'w'"),
        case("a negative size", &[-2], 1, &[raw(8)]).refused(4, "tensor 'w'"),
        case("two negative sizes", &[-1, -2], 1, &[raw(8)]).refused(4, "tensor 'w'"),
        case("no elements where none are declared", &[0], 1, &[raw(0)]).refused(4, "n"),
        case("a scalar", &[], 1, &[field(9, 2.5f32.to_le_bytes())]).fed(&[2], &[1.0, 2.0]).gives(&[3.5, 4.5]),
        case("1,000 dimensions", &[1; 1_000], 1, &[raw(4)]).may(4),
        case("raw bytes and numbers", &[2], 1, &[raw(8), floats(2)]).refused(4, "more than one place"),
        case("numbers of two types", &[2], 1, &[floats(2), field(7, [0, 0])]).refused(4, "more than one place"),
        case("a part of a tensor", &[2], 1, &[raw(8), field(3, "")]).refused(4, "segments"),
        case("no type", &[2], 0, &[raw(8)]).refused(4, "'w'"),
        case("an unknown type", &[2], 99, &[raw(8)]).refused(4, "'w'"),
        case("a negative type", &[2], -1, &[raw(8)]).refused(4, "'w'"),
        case("a type beyond 32 bits", &[2], (1 << 32) + 1, &[raw(8)]).refused(4, "32-bit"),
        case("bf16", &[2], 16, &[field(9, [0x80, 0x3f, 0, 0x40])]).fed(&[2], &[0.0, 0.0]).gives(&[1.0, 2.0]),
        case("integers where reals are wanted", &[2], 7, &[raw(16)]).refused(4, "n"),
        case("a truth value of 2", &[1], 9, &[field(9, [2])]).refused(4, "tensor 'w'"),
        case("a byte of 300", &[1], 2, &[field(5, [0xac, 2])]).refused(4, "tensor 'w'"),
        case(
            "weights that are no numbers",
            &[2],
            1,
            &[field(9, [f32::NAN, f32::INFINITY].map(f32::to_le_bytes).concat())],
        )
        .fed(&[2], &[1.0, 1.0])
        .gives(&[f32::NAN, f32::INFINITY]),
        case("subnormal weights", &[2], 1, &[field(9, [1e-40f32, -1e-44].map(f32::to_le_bytes).concat())])
            .fed(&[2], &[0.0, 0.0])
            .gives(&[1e-40, -1e-44]),
        Case::command("a tensor's file that lies", &["run", "@/model.onnx", "--device", "cpu", "--input", "x=@/x.pb"])
            .file("model.onnx", sum_with(tensor("w", &[2], 1, &[raw(8)])))
            .file("x.pb", tensor("x", &[1 << 40], 1, &[raw(8)])[4..].to_vec())
            .refused(4, "x.pb"),
    ];
    for (name, data_type) in [
        ("STRING", 8),
        ("COMPLEX64", 14),
        ("COMPLEX128", 15),
        ("FLOAT8E4M3FN", 17),
        ("FLOAT8E5M2", 19),
        ("UINT4", 21),
        ("FLOAT4E2M1", 23),
    ] {
        cases.push(case(&format!("elements of {name}"), &[2], data_type, &[raw(8)]).refused(3, name));
    }
    cases
}
