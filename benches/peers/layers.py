"""The single layers that the peers are timed on: a convolution with bias and ReLU, its weights random."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Layer:
    """A layer as `reluctor bench --conv` takes it: NxCxHxW,KxRxS and sSTRIDE, pPAD, gGROUPS."""

    def __init__(self, spec):
        shape, filters, *rest = spec.split(",")
        number = {part[0]: int(part[1:]) for part in rest}
        self.stride, self.pad, self.groups = number.get("s", 1), number.get("p", 0), number.get("g", 1)
        self.shape = list(map(int, shape.split("x")))
        self.out_c, *self.kernel = map(int, filters.split("x"))
        random = np.random.default_rng(0)
        filters = [self.out_c, self.shape[1] // self.groups, *self.kernel]
        self.weights = random.standard_normal(filters, dtype=np.float32) * np.float32(0.05)
        self.bias = random.standard_normal(self.out_c, dtype=np.float32)

    def to_onnx(self):
        sizes = dict(kernel_shape=self.kernel, strides=[self.stride] * 2, pads=[self.pad] * 4, group=self.groups)
        nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], **sizes), helper.make_node("Relu", ["y"], ["z"])]
        constants = [numpy_helper.from_array(self.weights, "w"), numpy_helper.from_array(self.bias, "b")]
        size = [(s + 2 * self.pad - k) // self.stride + 1 for s, k in zip(self.shape[2:], self.kernel)]
        entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        exit_ = helper.make_tensor_value_info("z", TensorProto.FLOAT, [self.shape[0], self.out_c, *size])
        graph = helper.make_graph(nodes, "layer", [entry], [exit_], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)  # wonnx runs no graph whose inner shapes are not written down
