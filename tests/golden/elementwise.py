"""Activations, and arithmetic with broadcasting."""

import numpy as np

from case import Case, generator, grid

DENORMAL = 1e-40
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
LARGE = float(np.finfo(np.float32).max)

SPECIALS = [
    0.0, -0.0, DENORMAL, -DENORMAL, SMALLEST_NORMAL, -SMALLEST_NORMAL, 1e-20, -1e-20, 1e-4, -1e-4,
    17.5, -17.5, 87.5, -87.5, 104.0, -104.0, 1e4, -1e4, 1e18, -1e18, LARGE, -LARGE, np.inf, -np.inf, np.nan,
]  # fmt: skip

ACTIVATIONS = {
    "Relu": [{}],
    "LeakyRelu": [{}, {"alpha": 0.25}, {"alpha": -1.5}],
    "Elu": [{}, {"alpha": 2.5}],
    "Selu": [{}, {"alpha": 2.0, "gamma": 0.5}],
    "Celu": [{}, {"alpha": 0.5}, {"alpha": 3.0}],
    "HardSigmoid": [{}, {"alpha": 0.5, "beta": 0.25}],
    "HardSwish": [{}],
    "Sigmoid": [{}],
    "Tanh": [{}],
    "Softplus": [{}],
    "Softsign": [{}],
    "ThresholdedRelu": [{}, {"alpha": -0.5}, {"alpha": 0.0}],
    "Mish": [{}],
    "Gelu": [{}, {"approximate": "tanh"}],
    "Swish": [{}, {"alpha": 1.5}],
}


def stated(attributes):
    return "_".join(f"{name}_{value}" for name, value in attributes.items()) or "default"


def activation_cases():
    for operator, forms in ACTIVATIONS.items():
        opset = 24 if operator == "Swish" else 22
        for attributes in forms:
            name = f"{operator}/{stated(attributes)}"
            x = grid(generator(name), (2, 3, 7, 13), 10, limit=8)
            yield Case(name, {"x": x}, {}, attributes, opset)
            specials = np.array(SPECIALS, np.float32)
            yield Case(f"{name}_specials", {"x": specials}, {}, attributes, opset)
    for shape in [(1, 1, 1, 1), (1, 1, 37, 1), (3, 5), (11,), (1, 2, 3, 2, 3)]:
        name = f"Relu/shape_{'x'.join(map(str, shape))}"
        yield Case(name, {"x": grid(generator(name), shape, 10, limit=8)})
    yield Case("Relu/opset_6", {"x": np.array(SPECIALS[:-1], np.float32)}, opset=6)
    yield from clips()
    yield from prelus()


def clips():
    scalar = lambda value: None if value is None else np.array(value, np.float32)
    for name, low, high in [
        ("both", -1.5, 2.25), ("no_bounds", None, None), ("no_min", None, 1.0), ("no_max", -1.0, None),
        ("crossed", 2.0, -1.0), ("infinite", -np.inf, np.inf), ("zeros", 0.0, 0.0),
    ]:  # fmt: skip
        bounds = {"min": scalar(low), "max": scalar(high)}
        x = grid(generator(name), (2, 3, 7, 5), 10, limit=4)
        yield Case(f"Clip/{name}", {"x": x}, bounds)
        yield Case(f"Clip/{name}_specials", {"x": np.array(SPECIALS, np.float32)}, bounds)
    x = grid(generator("clip"), (3, 7), 10, limit=4)
    yield Case("Clip/opset_6", {"x": x}, {}, {"min": -1.0, "max": 1.5}, 6)
    yield Case("Clip/opset_6_default", {"x": x}, {}, {}, 6)


def prelus():
    for shape in [(), (1,), (3, 1, 1), (1, 3, 1, 1), (3, 4, 5), (5,), (4, 1), (1, 1, 5), (2, 3, 4, 5), (2, 1, 1, 1), (1, 1, 1)]:
        name = f"PRelu/slope_{'x'.join(map(str, shape)) or 'scalar'}"
        rng = generator(name)
        yield Case(name, {"x": grid(rng, (2, 3, 4, 5), 8, limit=4)}, {"slope": grid(rng, shape, 4, limit=2)})
    rng = generator("PRelu")
    yield Case("PRelu/line_slope_4x1", {"x": grid(rng, (2, 4, 9), 8)}, {"slope": grid(rng, (4, 1), 4)})
    yield Case("PRelu/matrix_slope_6", {"x": grid(rng, (5, 6), 8)}, {"slope": grid(rng, (6,), 4)})
    for slope in [0.25, -2.0]:
        specials = {"x": np.array(SPECIALS, np.float32)}
        yield Case(f"PRelu/slope_{slope}_specials", specials, {"slope": np.array([slope], np.float32)})


def arithmetic_cases():
    shapes = [
        ((2, 3, 4, 5), (2, 3, 4, 5)), ((2, 3, 4, 5), (3, 1, 1)), ((2, 3, 4, 5), (5,)), ((3, 1, 7), (1, 4, 1)),
        ((2, 1, 4, 1), (1, 3, 1, 5)), ((6,), ()), ((1,), (4, 3)), ((2, 3, 1, 1), (2, 3, 7, 13)),
    ]  # fmt: skip
    for operator in ["Add", "Sub", "Mul", "Div"]:
        for left, right in shapes:
            shape = "_with_".join("x".join(map(str, shape)) or "scalar" for shape in (left, right))
            name = f"{operator}/{shape}"
            rng = generator(name)
            a, b = grid(rng, left, 10), grid(rng, right, 10)
            if operator == "Div":
                b = np.where(b == 0, np.float32(0.5), b).astype(np.float32)
            yield Case(name, {"a": np.asarray(a), "b": np.asarray(b)})
    a, b = np.meshgrid(np.array([0.0, 1.5, -2.0, np.inf, -np.inf, np.nan], np.float32), np.array([0.0, 3.0, np.inf, np.nan], np.float32))
    for operator in ["Add", "Mul", "Sub"]:
        yield Case(f"{operator}/specials", {"a": a, "b": b})
