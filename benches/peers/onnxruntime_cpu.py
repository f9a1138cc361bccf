"""ONNX Runtime on the CPU: prints `ms MEDIAN` for the layer or the network in its argument, a JSON object."""

import json
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def layer(spec):
    """A convolution with bias and ReLU; its weights are random."""
    shape, filters, *rest = spec.split(",")
    sizes = list(map(int, shape.split("x")))
    out_c, *kernel = map(int, filters.split("x"))
    number = {part[0]: int(part[1:]) for part in rest}
    groups, stride, pad = number.get("g", 1), number.get("s", 1), number.get("p", 0)
    weights = np.random.default_rng(0).standard_normal([out_c, sizes[1] // groups, *kernel]).astype(np.float32) * 0.05
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["y"], group=groups, strides=[stride] * 2, pads=[pad] * 4),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    constants = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.zeros(out_c, np.float32), "b")]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)
    exit_ = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "layer", [entry], [exit_], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def main():
    task = json.loads(sys.argv[1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    model = task["model"] if "model" in task else layer(task["layer"])
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    shapes = {entry.name: [size if isinstance(size, int) else 1 for size in entry.shape] for entry in session.get_inputs()}
    given = {name: np.random.default_rng(1).random(shape, dtype=np.float32) for name, shape in shapes.items()}
    times = []
    for run in range(3 + task["runs"]):
        start = time.perf_counter()
        session.run(None, given)
        times.append((time.perf_counter() - start) * 1e3)
    print("ms", statistics.median(times[3:]))


main()
