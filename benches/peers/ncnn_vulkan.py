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

from layers import Layer


def convolution(spec, folder):
    """Writes a layer in ncnn's own format."""
    layer = Layer(spec)
    kind = "ConvolutionDepthWise" if layer.groups > 1 else "Convolution"
    settings = {0: layer.out_c, 1: layer.kernel[1], 11: layer.kernel[0], 3: layer.stride, 4: layer.pad, 5: 1}
    settings |= {6: layer.weights.size, 9: 1} | ({7: layer.groups} if layer.groups > 1 else {})
    text = " ".join(f"{key}={value}" for key, value in settings.items())
    (folder / "net.param").write_text(f"7767517\n2 2\nInput in0 0 1 in0\n{kind} conv 1 1 in0 out0 {text}\n")
    (folder / "net.bin").write_bytes(np.uint32(0).tobytes() + layer.weights.tobytes() + layer.bias.tobytes())
    return folder / "net.param", folder / "net.bin"


def network(model, shape, folder):
    """Converts an ONNX file by pnnx."""
    copy = folder / "net.onnx"
    copy.write_bytes(pathlib.Path(model).read_bytes())
    shape = "inputshape=[" + ",".join(map(str, shape)) + "]"
    subprocess.run(["pnnx", str(copy), shape, "fp16=0"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return folder / "net.ncnn.param", folder / "net.ncnn.bin"


def main():
    task = json.loads(sys.argv[1])
    os.environ["PATH"] = str(pathlib.Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        one = "layer" in task
        param, weights = convolution(task["layer"], folder) if one else network(task["model"], task["shape"], folder)
        net = ncnn.Net()
        net.opt.use_vulkan_compute = True
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        if net.load_param(str(param)) or net.load_model(str(weights)):
            sys.exit("ncnn cannot load the network")
        image = np.fromfile(task["input"], np.float32).reshape(task["shape"][1:])
        # A view of the array would have channels of any length, and Vulkan wants them padded to 16 bytes, as a copy's are.
        given = ncnn.Mat(image).clone()
        times = []
        for run in range(3 + task["runs"]):
            start = time.perf_counter()
            extractor = net.create_extractor()
            extractor.input("in0", given)
            status, mat = extractor.extract("out0")
            if status:
                sys.exit("ncnn cannot run the network")
            result = np.array(mat)
            times.append((time.perf_counter() - start) * 1e3)
        result.tofile(task["output"])
        print("ms", statistics.median(times[3:]))


main()
