"""Writes ResNet-18, MobileNetV2 and SqueezeNet 1.1 as ONNX files with random weights: what a run costs depends on the
shapes alone, and so no weights need to be fetched.

    python benches/peers/networks.py target/networks

Shapes as in the papers (He et al. 2015; Sandler et al. 2018; Iandola et al. 2016, version 1.1), 1x3x224x224, 1000 classes;
batch normalization is folded into the convolutions, as exporters do.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """A network under construction. Tensors are pairs of a name and a number of channels."""

    def __init__(self, name):
        self.name, self.nodes, self.weights = name, [], []
        self.random = np.random.default_rng(0)
        self.input = ("image", 3)

    def node(self, op, inputs, channels, **attributes):
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name, channels

    def weight(self, shape, spread):
        name = f"weight{len(self.weights)}"
        values = self.random.standard_normal(shape, dtype=np.float32) * np.float32(spread)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, x, out_c, kernel, stride=1, groups=1, act="Relu", pad=None):
        terms = x[1] // groups * kernel * kernel
        weights = [self.weight((out_c, x[1] // groups, kernel, kernel), (2 / terms) ** 0.5), self.weight((out_c,), 0.1)]
        pads = [kernel // 2 if pad is None else pad] * 4
        sizes = dict(kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, group=groups)
        y = self.node("Conv", [x[0], *weights], out_c, **sizes)
        if act == "Relu6":
            return self.node("Clip", [y[0], self.constant(0), self.constant(6)], out_c)
        return self.node(act, [y[0]], out_c) if act else y

    def constant(self, value):
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def add(self, x, y):
        return self.node("Add", [x[0], y[0]], x[1])

    def max_pool(self, x, pad=0, ceil=0):
        return self.node("MaxPool", [x[0]], x[1], kernel_shape=[3, 3], strides=[2, 2], pads=[pad] * 4, ceil_mode=ceil)

    def mean(self, x):
        return self.node("Flatten", [self.node("GlobalAveragePool", [x[0]], x[1])[0]], x[1])

    def classify(self, x):
        # Exporters write the weights transposed (transB=1), which wonnx refuses; the others take either.
        weights = [self.weight((x[1], 1000), x[1] ** -0.5), self.weight((1000,), 0.1)]
        return self.node("Gemm", [x[0], *weights], 1000)

    def save(self, output, folder):
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])
        result = helper.make_tensor_value_info(output[0], TensorProto.FLOAT, [1, 1000])
        graph = helper.make_graph(self.nodes, self.name, [image], [result], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        # wonnx runs no graph whose inner shapes are not written down.
        onnx.save(onnx.shape_inference.infer_shapes(model), folder / f"{self.name}.onnx")


def resnet18():
    net = Builder("resnet18")
    x = net.max_pool(net.conv(net.input, 64, 7, 2), pad=1)
    for stage, out_c in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = net.conv(net.conv(x, out_c, 3, stride), out_c, 3, act=None)
            beside = net.conv(x, out_c, 1, stride, act=None) if stride > 1 else x
            x = net.node("Relu", [net.add(y, beside)[0]], out_c)
    return net, net.classify(net.mean(x))


def mobilenet_v2():
    net = Builder("mobilenet_v2")
    x = net.conv(net.input, 32, 3, 2, act="Relu6")
    # Expansion, output channels, repetitions, first stride: table 2 of the paper.
    for t, c, n, s in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(n):
            stride = s if block == 0 else 1
            y = net.conv(x, x[1] * t, 1, act="Relu6") if t > 1 else x
            y = net.conv(y, y[1], 3, stride, groups=y[1], act="Relu6")
            y = net.conv(y, c, 1, act=None)
            x = net.add(x, y) if stride == 1 and x[1] == c else y
    return net, net.classify(net.mean(net.conv(x, 1280, 1, act="Relu6")))


def squeezenet():
    net = Builder("squeezenet")
    x = net.max_pool(net.conv(net.input, 64, 3, 2, pad=0), ceil=1)
    for squeeze, expand, pooled in ((16, 64, 0), (16, 64, 1), (32, 128, 0), (32, 128, 1), (48, 192, 0), (48, 192, 0), (64, 256, 0), (64, 256, 0)):
        x = net.conv(x, squeeze, 1)
        sides = [net.conv(x, expand, kernel)[0] for kernel in (1, 3)]
        x = net.node("Concat", sides, 2 * expand, axis=1)
        x = net.max_pool(x, ceil=1) if pooled else x
    return net, net.mean(net.conv(x, 1000, 1))


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/networks")
    folder.mkdir(parents=True, exist_ok=True)
    for make in (resnet18, mobilenet_v2, squeezenet):
        net, output = make()
        net.save(output, folder)
        print(folder / f"{net.name}.onnx")


main()
