"""Check a trained network with other software than the engine: onnx and onnxruntime.

    python3 check.py fashion_mnist.onnx [FOLDER]

Prints file size, opset, parameters, every node with the shape it computes, and the accuracy on
the 10,000 test images. FOLDER is where the Fashion-MNIST .gz files are.
"""
import math
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime

sys.dont_write_bytecode = True  # no __pycache__ beside the network
import train


def describe(path):
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    weights = sum(math.prod(tensor.dims) for tensor in graph.initializer)
    print(f"{Path(path).stat().st_size} bytes, opset {model.opset_import[0].version}, "
          f"{weights} numbers in {len(graph.initializer)} initializers")
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shape = [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        makers = [node for node in graph.node if value.name in node.output]
        print(f"{makers[0].op_type if makers else 'input':20} {value.name:45} {shape}")


def measure(path, folder):
    images, labels = train.load(folder, "t10k")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits = numpy.concatenate([session.run(["logits"], {"image": batch})[0]
                                for batch in numpy.split(images, 20)])
    right = int((logits.argmax(1) == labels).sum())
    print(f"test accuracy {100 * right / len(labels):.2f} % ({right} of {len(labels)})")


if __name__ == "__main__":
    describe(sys.argv[1])
    measure(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else train.DATA)
