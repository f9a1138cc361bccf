"""Resize: every mode, coordinate, policy and way to say the size, at sizes that do not divide."""

import itertools

import numpy as np

from case import Case, generator, image
from convolution import joined

SHAPE = (1, 2, 5, 7)
BATCH = (3, 2, 5, 7)
FRACTIONAL = [(1.5, 2.5), (0.6, 0.8)]
SCALES = [(2.0, 2.0), *FRACTIONAL]
NEAREST_MODES = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def resizes():
    yield from modes()
    yield from nearest_modes()
    yield from ties()
    yield from cubic()
    yield from antialiased()
    yield from policies()
    yield from crops()
    yield from other_ranks()
    yield from earlier_opsets()


def resize(name, attributes, scales=None, sizes=None, shape=SHAPE, opset=19, roi=None, producer=""):
    """One case: an image, and its size by scales or as such, for all axes or those of the attribute."""
    constants = {"roi": roi, "scales": None if scales is None else np.array(scales, np.float32)}
    if sizes is not None:
        constants["sizes"] = np.array(sizes, np.int64)
    name = f"Resize/{name}"
    return Case(name, {"x": image(generator(name), shape)}, constants, attributes, opset, producer)


def modes():
    pairs = [
        ("nearest", "asymmetric"), ("nearest", "half_pixel"), ("nearest", "align_corners"), ("linear", "half_pixel"), ("linear", "align_corners"),
        ("linear", "asymmetric"), ("linear", "pytorch_half_pixel"), ("cubic", "half_pixel"), ("cubic", "align_corners"), ("cubic", "asymmetric"),
        ("linear", "half_pixel_symmetric"), ("cubic", "half_pixel_symmetric"), ("nearest", "pytorch_half_pixel"), ("cubic", "pytorch_half_pixel"),
    ]  # fmt: skip
    for (mode, coordinates), scales in itertools.product(pairs, SCALES):
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
        # ONNX's text leaves open whether the length is rounded before corners are aligned; the witness and PyTorch round.
        producer = "pytorch" if coordinates == "align_corners" and scales in FRACTIONAL else ""
        yield resize(f"{mode}_{coordinates}_scales_{joined(scales)}", attributes, [1, 1, *scales], producer=producer)


def nearest_modes():
    for nearest_mode, sizes in itertools.product(NEAREST_MODES, [(8, 13), (3, 4)]):
        attributes = {"mode": "nearest", "nearest_mode": nearest_mode}
        yield resize(f"nearest_mode_{nearest_mode}_sizes_{joined(sizes)}", attributes, sizes=[1, 2, *sizes])
    for nearest_mode, scales in itertools.product(NEAREST_MODES, FRACTIONAL):
        attributes = {"mode": "nearest", "nearest_mode": nearest_mode, "coordinate_transformation_mode": "asymmetric"}
        yield resize(f"nearest_mode_{nearest_mode}_asymmetric_scales_{joined(scales)}", attributes, [1, 1, *scales], shape=BATCH)


def ties():
    for nearest_mode in NEAREST_MODES:
        for coordinates, old, scale in [("half_pixel", 118, 0.3), ("half_pixel_symmetric", 191, 0.75), ("asymmetric", 87, 1.25)]:
            attributes = {"mode": "nearest", "nearest_mode": nearest_mode, "coordinate_transformation_mode": coordinates}
            yield resize(f"nearest_mode_{nearest_mode}_{coordinates}_ties", attributes, [1, 1, scale], shape=(1, 1, old))


def cubic():
    for a, exclude in [(-0.5, 0), (-0.75, 1), (-0.5, 1)]:
        attributes = {"mode": "cubic", "cubic_coeff_a": a, "exclude_outside": exclude}
        yield resize(f"cubic_a_{a}_exclude_outside_{exclude}", attributes, [1, 1, 2, 1.5])


def antialiased():
    for mode, exclude, scales in [("linear", 0, FRACTIONAL[0]), ("linear", 0, FRACTIONAL[1]), ("cubic", 0, FRACTIONAL[1]), ("cubic", 1, FRACTIONAL[1])]:
        attributes = {"mode": mode, "antialias": 1, "exclude_outside": exclude}
        yield resize(f"antialias_{mode}_exclude_outside_{exclude}_scales_{joined(scales)}", attributes, [1, 1, *scales], shape=BATCH)
    for coordinates in ["align_corners", "asymmetric"]:
        attributes = {"mode": "linear", "antialias": 1, "coordinate_transformation_mode": coordinates}
        scales = FRACTIONAL[1]
        producer = "pytorch" if coordinates == "align_corners" else ""
        yield resize(f"antialias_{coordinates}_scales_{joined(scales)}", attributes, [1, 1, *scales], producer=producer)


def policies():
    for policy, sizes in itertools.product(["stretch", "not_larger", "not_smaller"], [(8, 10), (3, 9), (4, 4)]):
        for mode in ["nearest", "linear"]:
            attributes = {"mode": mode, "axes": [2, 3], "keep_aspect_ratio_policy": policy}
            yield resize(f"{mode}_{policy}_sizes_{joined(sizes)}", attributes, sizes=sizes, opset=18)
    attributes = {"mode": "linear", "axes": [3, 2], "keep_aspect_ratio_policy": "not_larger"}
    yield resize("linear_not_larger_axes_3x2_sizes_9x3", attributes, sizes=[9, 3], shape=BATCH)
    yield resize("cubic_axes_3x2_scales_1.5x0.6", {"mode": "cubic", "axes": [3, 2]}, [1.5, 0.6], shape=BATCH)


def crops():
    roi = np.array([0.1, -0.2, 0.9, 0.6], np.float32)
    for mode in ["nearest", "linear", "cubic"]:
        attributes = {
            "mode": mode, "axes": [2, 3], "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 2.5
        }  # fmt: skip
        yield resize(f"{mode}_crop_sizes_8x4", attributes, sizes=[8, 4], roi=roi)
        yield resize(f"{mode}_crop_scales_1.5x0.8", attributes, [1.5, 0.8], roi=roi)


def other_ranks():
    for mode, antialias in [("nearest", 0), ("linear", 0), ("linear", 1)]:
        attributes = {"mode": mode, "antialias": antialias}
        name = f"{mode}_antialias_{antialias}"
        yield resize(f"{name}_volume", attributes, [1, 1, 1.5, 0.6, 0.8], shape=(2, 1, 4, 5, 7), opset=18)
        yield resize(f"{name}_plane", attributes, [0.6, 2.5], shape=(5, 7), opset=18)
    for mode in ["nearest", "linear"]:
        yield resize(f"{mode}_line", {"mode": mode}, sizes=[3, 2, 17], shape=(3, 2, 13), opset=13)


def earlier_opsets():
    for mode, scales in itertools.product(["nearest", "linear"], FRACTIONAL):
        name = f"Resize/opset_10_{mode}_scales_{joined(scales)}"
        yield Case(name, {"x": image(generator(name), BATCH)}, {"scales": np.array([1, 1, *scales], np.float32)}, {"mode": mode}, 10)
    for mode, coordinates in [("nearest", "tf_half_pixel_for_nn"), ("linear", "half_pixel"), ("cubic", "pytorch_half_pixel")]:
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
        empty = np.array([], np.float32)
        for scales in FRACTIONAL:
            yield resize(f"opset_11_{mode}_{coordinates}_scales_{joined(scales)}", attributes, [1, 1, *scales], opset=11, roi=empty)
