"""The ONNX zoo's first classifiers, whose graphs the onnx wheel carries. Constants stand in for their weights there; here they
are random numbers of a size that keeps activations sane."""

import pathlib

import numpy as np
import onnx
from network import Network, image
from onnx import helper, numpy_helper

NAMES = [
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
]
FOLDER = pathlib.Path(onnx.__file__).parent / "backend/test/data/light"


def weights(shape: tuple[int, ...], reader: onnx.NodeProto, slot: int, numbers: np.random.Generator) -> np.ndarray:
    if reader.op_type == "BatchNormalization" and slot in (1, 4):
        drawn = numbers.uniform(0.5, 1.5, shape)
    elif len(shape) == 1:
        drawn = numbers.normal(0, 0.1, shape) + (reader.op_type == "Unsqueeze")
    else:
        drawn = numbers.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    return drawn.astype(np.float32)


def write(name: str, path: pathlib.Path, numbers: np.random.Generator) -> dict[str, np.ndarray]:
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made = {node.output[0]: stored[node.input[0]] for node in graph.node if node.op_type == "ConstantOfShape"}
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    for node in nodes:
        for slot, value in enumerate(node.input):
            if value in made:
                tensor = weights(tuple(made.pop(value)), node, slot, numbers)
                graph.initializer.append(numpy_helper.from_array(tensor, value))
    del graph.node[:]
    graph.node.extend(nodes)
    # A softmax of random logits hides most of them: they are an output too.
    if nodes[-1].op_type == "Softmax":
        graph.output.append(helper.make_tensor_value_info(nodes[-1].input[0], onnx.TensorProto.FLOAT, None))
    onnx.save(model, path)
    data = next(value.name for value in graph.input if value.name not in stored)
    return {data: image(numbers, 1, 3, 224, 224)}


def networks() -> list[Network]:
    def network(name: str) -> Network:
        return Network(f"zoo_{name}", "ONNX zoo (onnx wheel)", lambda path, numbers: write(name, path, numbers))

    return [network(name) for name in NAMES]
