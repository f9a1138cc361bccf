"""Casts of special numbers to each element type and on to each other, by ONNX Runtime."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from case import IR_VERSION, onnx_runtime

TYPES = {
    "float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE,
    "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32, "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "uint32": TensorProto.UINT32, "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
}  # fmt: skip
REALS = ["float16", "bfloat16", "float32", "float64"]

# Zeros, numbers between integers, halfway between neighbours of float16 (normal and subnormal) and of bfloat16, ends of each type.
MAGNITUDES = [
    0, 0.25, 0.5, 0.75, 0.999, 1, 1.5, 2.5, 3.7, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-20, 1 + 2**-8, 1 + 3 * 2**-8,
    2049, 2051, 257, 259, 2**-14, 2**-14 - 2**-25, 2**-24, 2**-25, 2**-25 + 2**-40, 3 * 2**-25, 5 * 2**-25, 2**-26, 1e-7, 1e-30,
    2.0**-126, 1e-40, 2.0**-149, 126.9, 127, 127.5, 128, 128.9, 129, 200, 255, 255.5, 256, 300.7, 511, 32767, 32767.5, 32768,
    32769, 40000.5, 65503, 65504, 65519, 65519.996, 65520, 65535, 65536, 65537, 70000, 1e6, 2**24 - 1, 2**24, 2**24 + 2, 123456789,
    2.0**31 - 128, 2.0**31, 2.0**31 + 256, 3e9, 2.0**32 - 256, 2.0**32, 2.0**32 + 512, 1e10, 2.0**40 + 2**20, 2.0**62, 2.0**63, 2.0**64,
    1e20, 3.38e38, 3.3961775e38, 3.4028235e38, np.inf, np.nan,
]  # fmt: skip
NUMBERS = np.array([sign * x for x in MAGNITUDES for sign in (1, -1)], np.float32)


def by_onnx_runtime(numbers, *path):
    """What a chain of casts makes of f32. Reals come back as f32: numpy has no bfloat16, and f64 is computed in f32."""
    path = [*path, "float32"] if path[-1] in REALS else path
    # ONNX Runtime passes over the first of two casts on end, even where it rounds, but for what stands between them.
    nodes, name = [], "x"
    for at, to in enumerate(path):
        nodes.append(helper.make_node("Cast", [name], [f"cast{at}"], to=TYPES[to]))
        name = f"y{at}" if at + 1 < len(path) else "y"
        nodes.append(helper.make_node("Identity", [f"cast{at}"], [name]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, numbers.shape)
    y = helper.make_tensor_value_info("y", TYPES[path[-1]], numbers.shape)
    graph = helper.make_graph(nodes, "casts", [x], [y])
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", 22)])
    onnx.checker.check_model(model, full_check=True)
    return onnx_runtime(model, {"x": numbers})


def is_defined(numbers, source, to):
    """Where a cast is what is stored: ONNX Runtime's own loops differ from one another for an uint32 of what is beyond 32 bits, and
    Reluctor refuses an uint64 that is no int64."""
    with np.errstate(invalid="ignore"):
        if to == "uint32" and source in REALS:
            return (numbers > -(2.0**31)) & (numbers < 2.0**32)
        if to == "uint64":
            return (numbers > -1) & (numbers < 2.0**63)
    return np.full(numbers.shape, True)


def arrays():
    """For each pair of types FIRST_SECOND/x, what the first makes of it as `between`, and what the second makes of that as `y`."""
    found = {}
    for first in TYPES:
        x = NUMBERS[is_defined(NUMBERS, "float32", first)]
        between = by_onnx_runtime(x, first)
        for second in TYPES:
            kept = is_defined(between, first, second)
            name = f"{first}_{second}"
            wide = lambda y: y.astype(np.int64) if y.dtype.kind in "iu" else y
            found[f"{name}/x"] = x[kept]
            found[f"{name}/between"] = wide(between[kept])
            found[f"{name}/y"] = wide(by_onnx_runtime(x[kept], first, second))
    return found
