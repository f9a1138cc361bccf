"""A graph of one operator, its data, and what the witnesses make of it."""

import dataclasses
import warnings
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SEED = 20240229
IR_VERSION = 10


@dataclasses.dataclass
class Case:
    """`name` is `OPERATOR/what is special`. The operator's inputs are those of the graph, then the constants; a constant is None
    where an optional input is left out. `producer` is who the file says wrote it: that may decide what a node means."""

    name: str
    inputs: dict
    constants: dict = dataclasses.field(default_factory=dict)
    attributes: dict = dataclasses.field(default_factory=dict)
    opset: int = 22
    producer: str = ""

    @property
    def operator(self):
        return self.name.split("/")[0]

    def model(self, output_shape=None):
        """The ONNX model. The output's shape is declared where it is known."""
        present = {name: value for name, value in self.constants.items() if value is not None}
        names = [*self.inputs, *(name if name in present else "" for name in self.constants)]
        node = helper.make_node(self.operator, names, ["y"], **self.attributes)
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for name, x in self.inputs.items()
        ]
        output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, output_shape)
        initializers = [numpy_helper.from_array(value, name) for name, value in present.items()]
        graph = helper.make_graph([node], "golden", inputs, [output], initializers)
        producer = {"producer_name": self.producer} if self.producer else {}
        return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", self.opset)], **producer)

    def magnitudes(self):
        """The same with the magnitude of every number: bounds each partial sum of a linear operator."""
        of = lambda tensors: {name: tensor if tensor is None else np.abs(tensor) for name, tensor in tensors.items()}
        return dataclasses.replace(self, inputs=of(self.inputs), constants=of(self.constants))


def onnx_runtime(model, inputs):
    """The output by ONNX Runtime's CPU provider, on one thread and without graph optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["y"], inputs)[0]


def reference(model, inputs):
    """The output by ONNX's own evaluator, which is written in numpy."""
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        return ReferenceEvaluator(model).run(None, inputs)[0]


def generator(name):
    """Random numbers for a case: of its name alone, so that a new case changes no other."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def grid(rng, shape, bits, limit=1):
    """Multiples of 2^-bits in [-limit, limit]: sums of their products are exact in f32 while they stay small."""
    steps = limit << bits
    return np.asarray(rng.integers(-steps, steps, size=shape, endpoint=True) / (1 << bits), np.float32)


# Of a filter and an image: 13 and 6 bits of mantissa, so that f16 or bf16 in place of f32 shows.
IMAGE_BITS, FILTER_BITS = 12, 5


def image(rng, shape):
    return grid(rng, shape, IMAGE_BITS)


def filters(rng, shape):
    return grid(rng, shape, FILTER_BITS)


def assert_exact(case, model_output):
    """Fails unless every partial sum of products of an image and filters fits f32's 24 bits."""
    magnitudes = case.magnitudes()
    bound = onnx_runtime(magnitudes.model(), magnitudes.inputs)
    assert bound.max() < 2 ** (24 - IMAGE_BITS - FILTER_BITS), f"{case.name}: sums up to {bound.max()}"
    scaled = model_output * 2.0 ** (IMAGE_BITS + FILTER_BITS)
    assert (scaled == np.round(scaled)).all(), f"{case.name}: ONNX Runtime rounded"
