"""Where ONNX Runtime and ONNX's reference evaluator differ, and which of them the standard's text bears out.

Patterns are those of `fnmatch`. Each must meet a case, and each case of LEFT_OUT must be one that the two differ on or that one of
them refuses: a list that is out of date fails.
"""

import fnmatch

import numpy as np

from case import onnx_runtime, reference

# ONNX Runtime is wrong, refuses, or the standard leaves the result open: such cases are not in the archive.
LEFT_OUT = {
    "Conv/auto_pad_SAME_*_dilations_*": "ONNX Runtime refuses SAME padding of a dilated convolution, which the standard allows.",
    "MaxPool/auto_pad_SAME_*_dilations_*": "ONNX Runtime forgets the dilation in SAME padding: its output is not ceil(input / stride).",
    "ConvTranspose/output_shape_10x12_*": "More output than the kernels reach: the standard does not say how a negative padding is halved.",
    "*MaxPool/special_nan": "ONNX Runtime's maximum passes over NaN; the standard does not say.",
    "Pad/wrap_*x-1x*": "The standard does not say whether what a negative padding removes still wraps around.",
}

# The evaluator is wrong or fails, and ONNX Runtime does what the standard's text says.
EVALUATOR_DEPARTS = {
    "Conv/*auto_pad_*": "It pads where VALID is asked for, and gets the output's size wrong for SAME.",
    "ConvTranspose/*group_*": "It does not split the weights by group.",
    "ConvTranspose/output_shape_*_auto_pad_NOTSET": "It does not derive the padding from output_shape.",
    "MaxPool/auto_pad_SAME_LOWER_*": "It gets the output's size wrong.",
    "MaxPool/special_*": "It fails on an image of one row.",
    "AveragePool/ceil_mode_*": "It pads where a last window hangs over the end, and so moves the image.",
    "AveragePool/combination_*": "As above.",
    "AveragePool/special_nan": "It marks padding by NaN, and so passes over NaN in the image.",
    "GlobalMaxPool/shape_*": "It gets the output's shape wrong for lines and volumes.",
    "Softplus/*_specials": "It overflows.",
    "Clip/no_*_specials": "A bound that is absent is the lowest or the largest finite number; it does not clip at all.",
    "BatchNormalization/opset_9_*": "It takes the statistics of the batch, as in training.",
    "*Softmax/opset_11_*": "Before opset 13 all axes from `axis` on are one; it knows the later meaning alone.",
    "LRN/*": "It leaves sums of squares unset where the batch is smaller than the channels.",
    "Pad/*x-1x*": "It knows no negative padding.",
    "Resize/*align_corners_scales_1.5x2.5": "It aligns corners by the unrounded length; PyTorch, which the file names as its producer, by the rounded one.",
    "Resize/*align_corners_scales_0.6x0.8": "As above.",
    "Resize/*_crop_scales_*": "It ends a crop at the unrounded length.",
    "Resize/*_half_pixel_symmetric_scales_0.6x0.8": "Where rounding makes a whole number of a place beside it, it weighs the neighbours of the next place.",
    "Resize/nearest_mode_*_asymmetric_scales_0.6x0.8": "It computes places in f64, where a scale of f32 misses ties and whole numbers.",
    "Resize/nearest_mode_*_ties": "As above.",
    "Resize/opset_10_*": "It takes no scales in the second place.",
    "Resize/opset_11_*_tf_half_pixel_for_nn_*": "It does not know these coordinates.",
}


def matching(patterns, name):
    return next((pattern for pattern in patterns if fnmatch.fnmatchcase(name, pattern)), None)


def agree(output, other):
    """Whether two outputs are one but for rounding."""
    return other is not None and output.shape == other.shape and np.allclose(output, other, rtol=1e-5, atol=1e-6, equal_nan=True)


def evaluated(model, inputs):
    """The evaluator's output, or nothing where it fails, which it does with exceptions of any kind."""
    try:
        return reference(model, inputs)
    except Exception:
        return None


def witnessed(case, used):
    """ONNX Runtime's output, or nothing for a case that is left out. The patterns that were needed are added to `used`."""
    model = case.model()
    left_out = matching(LEFT_OUT, case.name)
    try:
        output = onnx_runtime(model, case.inputs)
    except Exception:
        if not left_out:
            raise
        used.add(left_out)
        return None
    departs = matching(EVALUATOR_DEPARTS, case.name)
    agreed = agree(output, evaluated(model, case.inputs))
    if not agreed and not left_out and not departs:
        raise SystemExit(f"{case.name}: ONNX Runtime and the evaluator differ: see witnesses.py")
    if not agreed:
        used.add(left_out or departs)
    return None if left_out else output
