"""Files that a tool made of others: quantized to 8 bits, or of 16-bit floats."""

import pathlib

import export
import numpy as np
import onnx
from blocks import conv
from modules import UNet
from network import Network, image
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import nn

SHAPE = (1, 3, 64, 64)


def classifier() -> nn.Module:
    layers = [conv(3, 16, 3, 2), conv(16, 16, 3, groups=16), conv(16, 32, 1), nn.MaxPool2d(2), conv(32, 48, 3, 2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10))


class Calibration(CalibrationDataReader):
    def __init__(self, images: list[np.ndarray]):
        self.images = iter(images)

    def get_next(self):
        data = next(self.images, None)
        return None if data is None else {"image": data}


def quantized(make, per_channel: bool, signed: bool):
    def write(path: pathlib.Path, numbers: np.random.Generator) -> dict[str, np.ndarray]:
        whole = path.with_name("whole.onnx")
        inputs = export.write(make, whole, numbers, SHAPE, 13)
        kind = QuantType.QInt8 if signed else QuantType.QUInt8
        calibration = Calibration([image(numbers, *SHAPE) for _ in range(4)])
        options = {
            "quant_format": QuantFormat.QDQ,
            "per_channel": per_channel,
            "activation_type": kind,
            "weight_type": QuantType.QInt8,
        }
        quantize_static(whole, path, calibration, **options)
        return inputs

    return write


def halved(make):
    def write(path: pathlib.Path, numbers: np.random.Generator) -> dict[str, np.ndarray]:
        inputs = export.write(make, path, numbers, SHAPE, 13)
        onnx.save(convert_float_to_float16(onnx.load(path)), path)
        return {name: data.astype(np.float16) for name, data in inputs.items()}

    return write


def networks() -> list[Network]:
    steps = "8 bits, whose steps may round either way"
    halves = "16-bit floats, in which ONNX Runtime computes and reluctor does not"
    return [
        Network(
            "quantized_classifier", "ONNX Runtime's quantizer (QDQ)", quantized(classifier, False, False), 2e-2, steps
        ),
        Network(
            "quantized_per_channel", "ONNX Runtime's quantizer (QDQ)", quantized(classifier, True, True), 2e-2, steps
        ),
        Network(
            "quantized_unet",
            "ONNX Runtime's quantizer (QDQ)",
            quantized(lambda: UNet("transpose"), False, False),
            2e-2,
            steps,
        ),
        Network("half_classifier", "ONNX Runtime's converter (f16)", halved(classifier), 2e-2, halves),
        Network("half_unet", "ONNX Runtime's converter (f16)", halved(lambda: UNet("nearest")), 2e-2, halves),
    ]
