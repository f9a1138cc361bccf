"""What ONNX Runtime and reluctor make of a file."""

import dataclasses
import json
import os
import pathlib
import subprocess
import urllib.parse

import numpy as np
import onnx
import onnxruntime
from network import Network

# reluctor's exit code for a model with something that it does not support.
REFUSED = 3
# A software adapter takes its time over transformers.
SECONDS = 900


@dataclasses.dataclass
class Verdict:
    """The worst |d| as a share of its output's largest element, or why there is none."""

    passed: bool
    worst: float | None = None
    reason: str = ""
    refused: bool = False


def prepare(network: Network, folder: pathlib.Path, fresh: bool) -> dict:
    """Makes the file, its inputs and the expected outputs, unless they are there, and returns what is to be said of it."""
    told = folder / "info.json"
    if fresh or not told.exists():
        folder.mkdir(parents=True, exist_ok=True)
        model = folder / "model.onnx"
        inputs = network.write(model, network.numbers())
        np.savez(folder / "inputs.npz", **inputs)
        parsed = onnx.load(model, load_external_data=False)
        opset = next(entry.version for entry in parsed.opset_import if entry.domain in ("", "ai.onnx"))
        options = onnxruntime.SessionOptions()
        # Its optimiser fuses some pads wrongly.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        np.savez(folder / "outputs.npz", **dict(zip(names, session.run(names, inputs))))
        told.write_text(json.dumps({"opset": opset, "nodes": len(parsed.graph.node), "ir": parsed.ir_version}))
    return json.loads(told.read_text())


def judge(network: Network, folder: pathlib.Path, device: str) -> Verdict:
    inputs, found = np.load(folder / "inputs.npz"), folder / f"found_{device}.npz"
    command = [
        os.environ["RELUCTOR"],
        "run",
        str(folder / "model.onnx"),
        "--device",
        device,
        "--timeout",
        str(SECONDS),
        "--quiet",
    ]
    command += ["--save-outputs", str(found)]
    for index, name in enumerate(inputs.files):
        np.save(folder / f"input_{index}.npy", inputs[name])
        command += ["--input", f"{name}={folder}/input_{index}.npy"]
        command += ["--shape", f"{name}:{'x'.join(map(str, inputs[name].shape))}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    if run.returncode != 0:
        reason = "; ".join(line.strip() for line in run.stderr.splitlines() if line.strip())
        return Verdict(False, reason=reason, refused=run.returncode == REFUSED)
    computed = np.load(found)
    return compared(
        np.load(folder / "outputs.npz"),
        {urllib.parse.unquote(name): computed[name] for name in computed.files},
        network.tolerance,
    )


def compared(expected, found, tolerance: float) -> Verdict:
    """Right is |d| <= tolerance * (max |expected| + |expected|), element by element."""
    worst, reason = 0.0, ""
    for name in expected.files:
        want, have = expected[name].astype(np.float64), found[name].astype(np.float64)
        if want.shape != have.shape:
            return Verdict(False, reason=f"output {name} is {have.shape}, not {want.shape}")
        largest = np.abs(want).max(initial=0)
        if not np.isfinite(largest) or largest == 0:
            return Verdict(
                False, reason=f"output {name} of ONNX Runtime shows nothing: its largest element is {largest}"
            )
        off = np.abs(want - have)
        worst = max(worst, off.max() / largest)
        if not (off <= tolerance * (largest + np.abs(want))).all():
            reason = f"output {name} is off by {off.max():.3g}, its largest element being {largest:.3g}"
    return Verdict(not reason, worst, reason)
