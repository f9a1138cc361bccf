"""Times reluctor and its peers side by side on one machine: the same layers, the same networks, the same adapter.

    pip install -r benches/peers/requirements.txt
    cargo build --release
    python benches/peers/run.py --device llvmpipe
    python benches/peers/run.py --device llvmpipe --model squeezenet=squeezenet.onnx

Each engine runs in a process of its own, one after another and in several rounds, so that what else the machine does falls
on all of them alike; a figure is the median over all rounds. All compute in f32, with upload and readback.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

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


def reluctor(work, runs, args):
    """Milliseconds of the fused convolution, or of the network, as `reluctor bench` measures them."""
    command = [args.reluctor, "bench", "--device", args.device, "--iterations", str(runs), "--json"]
    command += [work["model"]] if "model" in work else ["--conv", work["layer"] + ",act=relu"]
    output = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"NODEVICE_SELECT": "1"})
    if output.returncode != 0:
        return None, output.stderr.strip().splitlines()[-1:]
    report = json.loads(output.stdout)
    return report["total_ms"]["median"], None


def in_python(script, work, runs, args):
    """Milliseconds as one of the scripts in this folder prints them."""
    task = json.dumps(work | {"runs": runs, "threads": args.threads})
    output = subprocess.run(
        [sys.executable, str(HERE / script), task], capture_output=True, text=True,
        env=os.environ | {"NODEVICE_SELECT": "1"},
    )
    lines = [line for line in output.stdout.splitlines() if line.startswith("ms ")]
    if output.returncode != 0 or not lines:
        return None, (output.stderr or output.stdout).strip().splitlines()[-1:]
    return float(lines[-1].split()[1]), None


ENGINES = {
    "reluctor": reluctor,
    "ncnn Vulkan": lambda *work: in_python("ncnn_vulkan.py", *work),
    "ONNX Runtime CPU": lambda *work: in_python("onnxruntime_cpu.py", *work),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reluctor", default=str(ROOT / "target/release/reluctor"))
    parser.add_argument("--device", default="gpu", help="as reluctor's --device; ncnn takes the first Vulkan adapter")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE", help="a network; may be repeated")
    parser.add_argument("--runs", type=int, default=15, help="timed runs a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    parser.add_argument("--only", nargs="*", choices=ENGINES, help="these engines")
    args = parser.parse_args()

    models = [dict(zip(("name", "model"), model.split("=", 1))) for model in args.model]
    works = models or [{"name": layer, "layer": layer} for layer in LAYERS]
    engines = {name: ENGINES[name] for name in (args.only or ENGINES)}
    print("milliseconds, median of", args.rounds, "rounds of", args.runs, "runs; in brackets: times reluctor's")
    print("| work |", " | ".join(engines), "|")
    print("|---|" + "---|" * len(engines))
    for work in works:
        found, problems = {name: [] for name in engines}, {}
        for _ in range(args.rounds):
            for name, engine in engines.items():
                ms, problem = engine(work, args.runs, args)
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
