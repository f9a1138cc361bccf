"""Writes one of Paddle's models, with random weights: paddle_export.py NAME SIZE FILE. Runs in an environment of its own."""

import sys

import numpy as np
import paddle

name, size, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
paddle.seed(7)
model = getattr(paddle.vision.models, name)(pretrained=False)
model.eval()
numbers = np.random.default_rng(3)
for key, value in model.state_dict().items():
    if key.endswith("_variance"):
        value.set_value(numbers.uniform(0.5, 1.5, value.shape).astype(np.float32))
    elif key.endswith("_mean"):
        value.set_value(numbers.normal(0, 0.1, value.shape).astype(np.float32))
spec = paddle.static.InputSpec([1, 3, size, size], "float32", "image")
paddle.onnx.export(model, path.removesuffix(".onnx"), input_spec=[spec], opset_version=13)
