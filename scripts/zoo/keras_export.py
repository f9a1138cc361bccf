"""Writes one of Keras's applications, with random weights: keras_export.py NAME SIZE FILE. Runs in an environment of its own."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

name, size, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tf.keras.utils.set_random_seed(7)
model = getattr(tf.keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=50)
model(np.zeros((1, size, size, 3), np.float32))
numbers = np.random.default_rng(3)
for weight in model.weights:
    if "moving_variance" in weight.path:
        weight.assign(numbers.uniform(0.5, 1.5, weight.shape))
    elif "moving_mean" in weight.path:
        weight.assign(numbers.normal(0, 0.1, weight.shape))
model.export(path, format="onnx", verbose=False)
