"""ncnn on Vulkan: prints `ms MEDIAN` for the layer or the network in its argument, a JSON object."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import ncnn
import numpy as np


def layer(spec, folder):
    """Writes a convolution with bias and ReLU in ncnn's own format; its weights are random."""
    shape, filters, *rest = spec.split(",")
    _, in_c, height, width = map(int, shape.split("x"))
    out_c, kernel, _ = map(int, filters.split("x"))
    number = {part[0]: int(part[1:]) for part in rest}
    groups = number.get("g", 1)
    weights = np.random.default_rng(0).standard_normal(out_c * in_c // groups * kernel * kernel, dtype=np.float32) * 0.05
    kind = "ConvolutionDepthWise" if groups > 1 else "Convolution"
    settings = {0: out_c, 1: kernel, 3: number.get("s", 1), 4: number.get("p", 0), 5: 1, 6: weights.size, 9: 1}
    settings |= {7: groups} if groups > 1 else {}
    text = " ".join(f"{key}={value}" for key, value in settings.items())
    (folder / "net.param").write_text(f"7767517\n2 2\nInput in0 0 1 in0\n{kind} conv 1 1 in0 out0 {text}\n")
    flag, bias = np.zeros(1, np.uint32), np.zeros(out_c, np.float32)
    (folder / "net.bin").write_bytes(flag.tobytes() + weights.tobytes() + bias.tobytes())
    return folder / "net.param", folder / "net.bin", {"in0": (in_c, height, width)}, "out0"


def network(model, folder):
    """Converts an ONNX file of one image input by pnnx."""
    import onnx

    proto = onnx.load(model, load_external_data=False)
    constants = {tensor.name for tensor in proto.graph.initializer}
    (entry,) = [value for value in proto.graph.input if value.name not in constants]
    sizes = [dim.dim_value or 1 for dim in entry.type.tensor_type.shape.dim]
    copy = folder / "net.onnx"
    copy.write_bytes(pathlib.Path(model).read_bytes())
    shape = "inputshape=[" + ",".join(map(str, sizes)) + "]"
    subprocess.run(["pnnx", str(copy), shape, "fp16=0"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return folder / "net.ncnn.param", folder / "net.ncnn.bin", {"in0": tuple(sizes[1:])}, "out0"


def main():
    task = json.loads(sys.argv[1])
    os.environ["PATH"] = str(pathlib.Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    with tempfile.TemporaryDirectory() as folder:
        made = network(task["model"], pathlib.Path(folder)) if "model" in task else layer(task["layer"], pathlib.Path(folder))
        param, weights, inputs, output = made
        net = ncnn.Net()
        net.opt.use_vulkan_compute = True
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        if net.load_param(str(param)) or net.load_model(str(weights)):
            sys.exit("ncnn cannot load the network")
        given = {name: ncnn.Mat(np.random.default_rng(1).random(shape, dtype=np.float32)) for name, shape in inputs.items()}
        times = []
        for run in range(3 + task["runs"]):
            start = time.perf_counter()
            extractor = net.create_extractor()
            for name, mat in given.items():
                extractor.input(name, mat)
            status, result = extractor.extract(output)
            if status:
                sys.exit("ncnn cannot run the network")
            np.array(result)
            times.append((time.perf_counter() - start) * 1e3)
        print("ms", statistics.median(times[3:]))


main()
