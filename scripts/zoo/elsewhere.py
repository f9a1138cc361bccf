"""Keras and PaddlePaddle, whose exporters want other versions of packages than PyTorch's: each in an environment of its own,
which is made when it is first needed. ZOO_KERAS_PYTHON and ZOO_PADDLE_PYTHON name one that is there already."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import onnx
from network import Network, image

HERE = pathlib.Path(__file__).parent
KERAS = [
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "ResNet50V2",
    "Xception",
    "DenseNet121",
    "NASNetMobile",
    "InceptionResNetV2",
    "VGG16",
]
PADDLE = [
    "resnet18",
    "mobilenet_v1",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "densenet121",
]


def interpreter(tool: str) -> str:
    given = os.environ.get(f"ZOO_{tool.upper()}_PYTHON")
    if given:
        return given
    folder = HERE.parents[1] / "target/zoo" / tool
    if not (folder / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        wanted = HERE / f"requirements-{tool}.txt"
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--requirement", wanted], check=True)
    return str(folder / "bin/python")


def write(tool: str, name: str, size: int, path: pathlib.Path, numbers: np.random.Generator) -> dict[str, np.ndarray]:
    command = [interpreter(tool), HERE / f"{tool}_export.py", name, str(size), path]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.strip().splitlines()[-1])
    graph = onnx.load(path).graph
    stored = {tensor.name for tensor in graph.initializer}
    open_inputs = [value for value in graph.input if value.name not in stored]
    shape = lambda value: [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]
    # tf2onnx makes inputs of a normalization's mean and variance, which must be positive.
    rest = {value.name: 0.5 + np.abs(image(numbers, *shape(value))) for value in open_inputs[1:]}
    return {open_inputs[0].name: image(numbers, *shape(open_inputs[0]))} | rest


def networks() -> list[Network]:
    def network(tool: str, source: str, name: str) -> Network:
        return Network(f"{tool}_{name.lower()}", source, lambda path, numbers: write(tool, name, 96, path, numbers))

    keras = [network("keras", "Keras, tf2onnx", name) for name in KERAS]
    return keras + [network("paddle", "PaddlePaddle, paddle2onnx", name) for name in PADDLE]
