"""Times reluctor and its peers side by side on one machine: the same layers, the same networks, the same adapter.

    python benches/peers/run.py --device llvmpipe
    python benches/peers/run.py --device llvmpipe --only reluctor "ncnn Vulkan" --model squeezenet=squeezenet.onnx

README.md says what has to be installed and built. Each engine runs in a process of its own, one after another and in
several rounds, so that what else the machine does falls on all of them alike; a figure is the median over all rounds.
All compute in f32, with upload and readback.

A peer's output is held against ONNX Runtime's CPU provider: an engine that is wrong fails. reluctor checks its own.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

from layers import Layer

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Input NxCxHxW, filter KxRxS, stride, padding, groups: the layers that ResNet and MobileNetV2 consist of.
LAYERS = [
    "1x64x56x56,64x3x3,p1",
    "1x128x28x28,128x3x3,p1",
    "1x256x14x14,256x3x3,p1",
    "1x512x7x7,512x3x3,p1",
    "1x256x56x56,64x1x1",
    "1x64x56x56,256x1x1",
    "1x3x224x224,64x7x7,s2,p3",
    "1x144x56x56,144x3x3,p1,g144",
]


def prepare(work, folder, args):
    """What every engine is given: an ONNX file, an input and the output that ONNX Runtime's CPU provider computes."""
    model = onnx.load(work["model"]) if "model" in work else Layer(work["layer"]).to_onnx()
    constants = {tensor.name for tensor in model.graph.initializer}
    (entry,) = [value for value in model.graph.input if value.name not in constants]
    dims = entry.type.tensor_type.shape.dim
    shape = [dim.dim_value or (args.size if axis else 1) for axis, dim in enumerate(dims)]
    task = {file: str(folder / file) for file in ("model", "input", "output", "reference")}
    onnx.save(model, task["model"])
    image = np.random.default_rng(1).random(shape, dtype=np.float32)
    image.tofile(task["input"])
    session = onnxruntime.InferenceSession(task["model"], providers=["CPUExecutionProvider"])
    session.run(None, {entry.name: image})[0].tofile(task["reference"])
    layer = convolution(Layer(work["layer"]), folder) | {"layer": work["layer"]} if "layer" in work else {}
    return task | layer | {"input_name": entry.name, "shape": shape, "threads": args.threads}


def convolution(layer, folder):
    """A layer for engines that read no ONNX: its sizes, its weights in files."""
    files = {name: str(folder / name) for name in ("weights", "bias")}
    layer.weights.tofile(files["weights"])
    layer.bias.tofile(files["bias"])
    sizes = {"filters": layer.weights.shape, "stride": layer.stride, "pad": layer.pad, "groups": layer.groups}
    return {"convolution": sizes | files}


def call(command, args, **environment):
    """Standard output, or the reason why there is none."""
    environment = os.environ | {"NODEVICE_SELECT": "1", "RUST_BACKTRACE": "0"} | environment
    command = shlex.split(args.run_with) + command
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    except OSError as error:
        return None, str(error)
    if done.returncode == 0:
        return done.stdout, None
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
    # Hints come after what matters, Rust's on backtraces among them.
    reasons = [line for line in lines if line and not line.startswith(("note: run with", "hint:"))]
    return None, reasons[-1] if reasons else f"exit status {done.returncode}"


def reluctor(task, runs, args):
    """Milliseconds of the fused convolution, or of the network, as `reluctor bench` measures them."""
    command = [args.reluctor, "bench", "--device", args.device, "--iterations", str(runs), "--json"]
    if "layer" in task:
        command += ["--conv", task["layer"] + ",act=relu"]
    else:
        command += [task["model"], "--shape", task["input_name"] + ":" + "x".join(map(str, task["shape"]))]
    output, problem = call(command, args)
    return (None, problem) if problem else (json.loads(output)["total_ms"]["median"], None)


def peer(command, task, runs, args, **environment):
    """Milliseconds as a peer's program prints them, if its output is near the reference."""
    pathlib.Path(task["output"]).unlink(missing_ok=True)
    output, problem = call([*command, json.dumps(task | {"runs": runs})], args, **environment)
    if problem:
        return None, problem
    result, reference = (np.fromfile(task[file], np.float32) for file in ("output", "reference"))
    if result.size != reference.size:
        return None, f"wrong: {result.size} values in place of {reference.size}"
    error = np.linalg.norm(result - reference) / np.linalg.norm(reference)
    if not error < 1e-3:
        return None, f"wrong: relative L2 error {error:.2g}"
    return float(output.split("ms ")[-1]), None


def ncnn(*work):
    return peer([sys.executable, str(HERE / "ncnn_vulkan.py")], *work)


def wonnx(task, runs, args):
    name = {} if args.device in ("auto", "gpu") else {"WGPU_ADAPTER_NAME": args.device}
    return peer([args.wonnx], task, runs, args, WGPU_BACKEND="vulkan", **name)


# Names that --device has for Vulkan's software adapters; burn cannot be told of any other.
SOFTWARE = ("llvmpipe", "lavapipe", "swiftshader")


def burn(task, runs, args):
    if "layer" not in task:
        return None, "reads no ONNX files: single layers only"
    if args.device not in ("auto", "gpu", *SOFTWARE):
        return None, f"takes no adapter by name: gpu, or one of {', '.join(SOFTWARE)}"
    return peer([args.burn], task | {"software": args.device in SOFTWARE}, runs, args)


def webgpu_provider(task, runs, args):
    command = [args.webgpu_python, str(HERE / "onnx_runtime.py")]
    return peer(command, task | {"provider": "WebGpuExecutionProvider"}, runs, args)


def cpu_provider(task, *work):
    return peer([sys.executable, str(HERE / "onnx_runtime.py")], task | {"provider": "CPUExecutionProvider"}, *work)


ENGINES = {
    "reluctor": reluctor,
    "ncnn Vulkan": ncnn,
    "wonnx": wonnx,
    "burn-wgpu": burn,
    "ONNX Runtime WebGPU": webgpu_provider,
    "ONNX Runtime CPU": cpu_provider,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reluctor", default=str(ROOT / "target/release/reluctor"))
    parser.add_argument("--wonnx", default=str(ROOT / "target/release/wonnx-peer"))
    parser.add_argument("--webgpu-python", default=sys.executable, help="a Python that has onnxruntime-webgpu")
    parser.add_argument("--burn", default=str(ROOT / "target/release/burn-peer"))
    parser.add_argument("--run-with", default="", help="a command put before every engine's: to choose a driver")
    parser.add_argument(
        "--device", default="gpu", help="as reluctor's --device, and wonnx's; ncnn and WebGPU take the first adapter",
    )
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE", help="a network; may be repeated")
    parser.add_argument("--size", type=int, default=224, help="what a network leaves open but for its batch, which is 1")
    parser.add_argument("--runs", type=int, default=15, help="timed runs a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    parser.add_argument("--only", nargs="*", choices=ENGINES, help="these engines")
    args = parser.parse_args()
    # Its warnings would stand between the rows of the table.
    onnxruntime.set_default_logger_severity(3)

    models = [dict(zip(("name", "model"), model.split("=", 1))) for model in args.model]
    works = models or [{"name": layer, "layer": layer} for layer in LAYERS]
    engines = {name: ENGINES[name] for name in (args.only or ENGINES)}
    print("milliseconds, median of", args.rounds, "rounds of", args.runs, "runs; in brackets: times reluctor's")
    print("| work |", " | ".join(engines), "|")
    print("|---|" + "---|" * len(engines))
    for work in works:
        found, problems = {name: [] for name in engines}, {}
        with tempfile.TemporaryDirectory() as folder:
            task = prepare(work, pathlib.Path(folder), args)
            for _ in range(args.rounds):
                for name, engine in engines.items():
                    ms, problem = engine(task, args.runs, args)
                    found[name] += [ms] if ms is not None else []
                    problems |= {name: problem} if problem else {}
        medians = {name: statistics.median(ms) if ms else None for name, ms in found.items()}
        own = medians.get("reluctor")
        cells = []
        for name, ms in medians.items():
            ratio = f" ({ms / own:.2f})" if ms and own and name != "reluctor" else ""
            cells.append(f"{ms:.2f}{ratio}" if ms else f"failed: {problems.get(name)}")
        print(f"| {work['name']} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
