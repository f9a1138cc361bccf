"""MaxPool, AveragePool, LpPool and the global pools."""

import itertools

import numpy as np

from case import Case, generator, grid, image
from convolution import SAME_OR_VALID, joined
from elementwise import DENORMAL, LARGE


def pool(operator, name, size=(7, 13), batch=1, channels=2, kernel=(3, 3), opset=22, **attributes):
    name = f"{operator}/{name}"
    x = image(generator(name), (batch, channels, *size))
    return Case(name, {"x": x}, {}, {"kernel_shape": kernel, **attributes}, opset)


def pool_cases():
    for operator in ["MaxPool", "AveragePool"]:
        yield from windows(operator)
        yield from combinations(operator)
    for auto_pad, dilations in itertools.product(SAME_OR_VALID, [(2, 2), (1, 3)]):
        yield pool("MaxPool", f"auto_pad_{auto_pad}_dilations_{joined(dilations)}", dilations=dilations, auto_pad=auto_pad)
    yield pool("MaxPool", "storage_order_1", storage_order=1)
    for pads, strides in itertools.product([(1, 1, 1, 1), (1, 0, 0, 2), (0, 2, 1, 1)], [(1, 1), (2, 3)]):
        name = f"count_include_pad_pads_{joined(pads)}_strides_{joined(strides)}"
        yield pool("AveragePool", name, pads=pads, strides=strides, count_include_pad=1)
    yield from lp_pools()
    yield from special_pools()
    yield from global_pools()


def windows(operator):
    for kernel in [(1, 1), (2, 2), (4, 4), (5, 5), (1, 3), (3, 1), (2, 5), (7, 13)]:
        yield pool(operator, f"kernel_{joined(kernel)}", kernel=kernel)
    for strides in [(1, 2), (2, 1), (2, 2), (3, 4), (5, 5)]:
        yield pool(operator, f"strides_{joined(strides)}", strides=strides)
    for dilations in [(2, 1), (1, 3), (2, 2), (3, 5)]:
        yield pool(operator, f"dilations_{joined(dilations)}", dilations=dilations)
    for pads in [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (2, 1, 0, 2)]:
        yield pool(operator, f"pads_{joined(pads)}", pads=pads, strides=[1, 2])
    for auto_pad, (kernel, strides) in itertools.product(SAME_OR_VALID, [((3, 3), (1, 1)), ((2, 4), (2, 3)), ((3, 2), (2, 2))]):
        name = f"auto_pad_{auto_pad}_kernel_{joined(kernel)}_strides_{joined(strides)}"
        yield pool(operator, name, size=(6, 11), kernel=kernel, strides=strides, auto_pad=auto_pad)
    for size, kernel, strides in [((7, 13), (2, 2), (2, 2)), ((7, 13), (3, 3), (3, 3)), ((6, 8), (3, 2), (2, 5)), ((5, 5), (2, 3), (4, 4))]:
        name = f"ceil_mode_size_{joined(size)}_kernel_{joined(kernel)}_strides_{joined(strides)}"
        yield pool(operator, name, size=size, kernel=kernel, strides=strides, ceil_mode=1)
        yield pool(operator, f"{name}_padded", size=size, kernel=kernel, strides=strides, ceil_mode=1, pads=[1, 0, 0, 1])
    for size in [(1, 1), (23, 1), (1, 29), (3, 3)]:
        yield pool(operator, f"size_{joined(size)}_padded", size=size, channels=3, pads=[1, 1, 1, 1])
    yield pool(operator, "batch_3_channels_5", size=(4, 6), batch=3, channels=5, kernel=(2, 2))
    yield pool(operator, "line", size=(17,), kernel=(3,), strides=[2], pads=[1, 0])
    yield pool(operator, "line_ceil_mode_dilations_2", size=(16,), kernel=(3,), strides=[3], dilations=[2], ceil_mode=1)
    yield pool(operator, "volume", size=(3, 4, 5), kernel=(2, 2, 3))


def combinations(operator):
    """Attributes together, as chance has it; padding is smaller than the kernel, as ONNX Runtime demands."""
    rng = generator(f"{operator}_combinations")
    for index in range(16):
        kernel = [int(k) for k in rng.integers(1, 5, size=2)]
        pads = [int(rng.integers(0, k)) for k in (*kernel, *kernel)]
        dilations = [int(d) for d in rng.integers(1, 3, size=2)]
        strides = [int(s) for s in rng.integers(1, 4, size=2)]
        size = tuple(int(rng.integers((k - 1) * d + 1, 12)) for k, d in zip(kernel, dilations))
        attributes = {"ceil_mode": int(rng.integers(2))}
        if operator == "AveragePool":
            attributes["count_include_pad"] = int(rng.integers(2))
        yield pool(operator, f"combination_{index}", size, kernel=kernel, pads=pads, strides=strides, dilations=dilations, **attributes)


def lp_pools():
    for p in [1, 2, 3]:
        yield pool("LpPool", f"p_{p}", p=p)
    yield pool("LpPool", "strides_2x3_kernel_2x4", kernel=(2, 4), strides=[2, 3])
    yield pool("LpPool", "pads_1x0x0x2", pads=[1, 0, 0, 2])
    yield pool("LpPool", "dilations_2x2", dilations=[2, 2])
    yield pool("LpPool", "auto_pad_SAME_UPPER", auto_pad="SAME_UPPER", strides=[2, 2])
    yield pool("LpPool", "line", size=(11,), kernel=(4,))


def special_pools():
    """Rows of numbers that a careless maximum or mean gets wrong. Windows of padding and an infinity alone are none of them:
    ONNX Runtime takes the lowest finite number for the padding of a maximum."""
    low, high, inf = -LARGE, LARGE, np.inf
    rows = {
        "all_negative": [-1, -2, -3, -4, -5, -6],
        "zeros_of_both_signs": [-0.0, 0.0, -0.0, -0.0, 0.0, 0.0],
        "denormal": [DENORMAL, -DENORMAL, 2 * DENORMAL, 0, -2 * DENORMAL, DENORMAL],
        "infinity": [1, inf, 2, 3, 4, inf],
        "minus_infinity": [2, -inf, -inf, 1, -inf, 3],
        "largest": [high, 1, low, low, low, -1],
        "nan": [np.nan, 1, 2, 3, 4, np.nan],
    }
    for name, row in rows.items():
        x = np.array(row, np.float32).reshape(1, 1, 1, 6)
        attributes = {"kernel_shape": [1, 2], "strides": [1, 1], "pads": [0, 1, 0, 1]}
        yield Case(f"MaxPool/special_{name}", {"x": x}, {}, attributes)
        yield Case(f"GlobalMaxPool/special_{name}", {"x": x})
        if name != "largest":
            yield Case(f"AveragePool/special_{name}", {"x": x}, {}, attributes)
            yield Case(f"GlobalAveragePool/special_{name}", {"x": x})


def global_pools():
    for operator in ["GlobalMaxPool", "GlobalAveragePool"]:
        for shape in [(1, 1, 1, 1), (3, 4, 7, 13), (1, 17, 5, 1), (2, 3, 1, 31), (2, 3, 19), (1, 2, 3, 2, 4)]:
            name = f"{operator}/shape_{joined(shape)}"
            yield Case(name, {"x": grid(generator(name), shape, 12)})
