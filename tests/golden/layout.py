"""Products, normalizations, and what moves or resamples elements."""

import itertools

import numpy as np

from case import Case, filters, generator, grid, image
from convolution import joined
from resizing import resizes


def other_cases():
    yield from products()
    yield from normalizations()
    yield from layouts()
    yield from resizes()


def products():
    for trans_a, trans_b in itertools.product([0, 1], repeat=2):
        name = f"Gemm/trans_a_{trans_a}_trans_b_{trans_b}"
        rng = generator(name)
        a, b = image(rng, (5, 7) if trans_a else (7, 5)), filters(rng, (9, 5) if trans_b else (5, 9))
        yield Case(name, {"a": a}, {"b": b, "c": grid(rng, (9,), 8)}, {"transA": trans_a, "transB": trans_b})
    for shape in [None, (), (1,), (9,), (7, 1), (1, 9), (7, 9)]:
        name = f"Gemm/c_{'absent' if shape is None else joined(shape) or 'scalar'}"
        rng = generator(name)
        c = {} if shape is None else {"c": grid(rng, shape, 8)}
        # Powers of two scale without rounding.
        yield Case(name, {"a": image(rng, (7, 5))}, {"b": filters(rng, (5, 9)), **c}, {"alpha": 2.0, "beta": 0.5})
    for rows, inner, columns in [(1, 1, 1), (1, 33, 17), (3, 31, 1), (16, 15, 32)]:
        name = f"Gemm/{rows}x{inner}_by_{inner}x{columns}"
        rng = generator(name)
        yield Case(name, {"a": image(rng, (rows, inner))}, {"b": filters(rng, (inner, columns))})
    matrices = [
        ((7, 5), (5, 9)), ((2, 7, 5), (5, 3)), ((2, 3, 4, 5), (2, 3, 5, 6)), ((2, 1, 4, 5), (3, 5, 2)), ((5,), (5, 4)), ((4, 5), (5,)), ((5,), (5,)),
        ((3, 1, 1), (3, 1, 1)),
    ]  # fmt: skip
    for left, right in matrices:
        name = f"MatMul/{joined(left)}_by_{joined(right)}"
        rng = generator(name)
        yield Case(f"{name}_constant", {"a": image(rng, left)}, {"b": filters(rng, right)})
        yield Case(name, {"a": image(rng, left), "b": filters(rng, right)})


def normalizations():
    for shape, epsilon in [((2, 3, 4, 5), 1e-5), ((3, 5, 7, 13), 1e-2), ((2, 4, 6), 1e-3), ((5, 7), 1e-5), ((1, 17, 1, 1), 1e-5)]:
        for opset in [9, 15]:
            name = f"BatchNormalization/opset_{opset}_shape_{joined(shape)}"
            rng = generator(name)
            statistics = {of: grid(rng, (shape[1],), 8) for of in ["scale", "bias", "mean"]}
            statistics["variance"] = np.abs(grid(rng, (shape[1],), 8)) + np.float32(0.25)
            yield Case(name, {"x": image(rng, shape)}, statistics, {"epsilon": epsilon}, opset)
    for operator, (shape, axis) in itertools.product(
        ["Softmax", "LogSoftmax"], [((2, 3, 4, 5), -1), ((2, 3, 4, 5), 1), ((2, 3, 4, 5), 0), ((3, 33), 1), ((7,), 0), ((2, 5, 1), 2)]
    ):
        for opset in [11, 13]:
            name = f"{operator}/opset_{opset}_shape_{joined(shape)}_axis_{axis}"
            yield Case(name, {"x": grid(generator(name), shape, 10, limit=8)}, {}, {"axis": axis}, opset)
    rows = {"equal": [3.0] * 5, "large": [1e4, 1e4 - 1, -1e4, 0, 5], "infinity": [-np.inf, 1, 2, -np.inf, 0]}
    for name, row in rows.items():
        yield Case(f"Softmax/special_{name}", {"x": np.array([row], np.float32)}, {}, {"axis": 1})
    for shape in [(2, 3, 4, 5), (1, 5, 7, 3), (2, 4, 9)]:
        name = f"InstanceNormalization/shape_{joined(shape)}"
        rng = generator(name)
        yield Case(name, {"x": image(rng, shape)}, {"scale": grid(rng, (shape[1],), 8), "bias": grid(rng, (shape[1],), 8)})
    for size in [1, 3, 5]:
        name = f"LRN/size_{size}"
        yield Case(name, {"x": image(generator(name), (2, 7, 3, 4))}, {}, {"size": size, "alpha": 0.5, "beta": 0.75, "bias": 2.0})


def layouts():
    for axis, shapes in [
        (1, [(2, 3, 4, 5), (2, 1, 4, 5)]), (0, [(1, 3), (2, 3)]), (-1, [(2, 3, 7), (2, 3, 13), (2, 3, 1)]), (2, [(1, 2, 5, 3), (1, 2, 1, 3)]), (1, [(3, 4)]),
    ]:  # fmt: skip
        name = f"Concat/axis_{axis}_of_{len(shapes)}_rank_{len(shapes[0])}"
        rng = generator(name)
        yield Case(name, {f"x{index}": image(rng, shape) for index, shape in enumerate(shapes)}, {}, {"axis": axis})
    for mode, pads in itertools.product(
        ["constant", "edge", "reflect", "wrap"], [(0, 0, 1, 2, 0, 0, 3, 1), (0, 1, 0, 0, 0, 0, 2, 0), (0, 0, -1, 1, 0, 0, 0, -2), (1, 0, 0, 0, 0, 1, 0, 0)]
    ):
        name = f"Pad/{mode}_{joined(pads)}"
        constants = {"pads": np.array(pads, np.int64)}
        if mode == "constant":
            constants["value"] = np.array(-1.25, np.float32)
        yield Case(name, {"x": image(generator(name), (2, 3, 4, 5))}, constants, {"mode": mode})
    x = {"x": image(generator("Pad"), (3, 4, 5))}
    yield Case("Pad/constant_axes", x, {"pads": np.array([1, 2, 0, 3]), "value": None, "axes": np.array([2, 0])})
    yield Case("Pad/opset_2", x, {}, {"pads": [0, 1, 2, 1, 0, 0], "value": 7.5}, 2)
    for perm in [(0, 2, 3, 1), (3, 1, 0, 2), (1, 0, 2, 3)]:
        yield Case(f"Transpose/{joined(perm)}", {"x": image(generator(str(perm)), (2, 3, 4, 5))}, {}, {"perm": perm})
    for mode in ["DCR", "CRD"]:
        yield Case(f"DepthToSpace/{mode}", {"x": image(generator(mode), (2, 12, 3, 2))}, {}, {"blocksize": 2, "mode": mode})
