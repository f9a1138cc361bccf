"""ONNX Runtime with the execution provider that its task, a JSON object, names: prints `ms MEDIAN` for the network."""

import json
import statistics
import sys
import time

import numpy as np
import onnxruntime


def main():
    task = json.loads(sys.argv[1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    session = onnxruntime.InferenceSession(task["model"], options, providers=[task["provider"]])
    # A provider that finds no device leaves the whole network to the CPU, with no more than a warning.
    if session.get_providers()[0] != task["provider"]:
        sys.exit(f"ONNX Runtime does not run the network on {task['provider']}")
    given = {task["input_name"]: np.fromfile(task["input"], np.float32).reshape(task["shape"])}
    times = []
    for run in range(3 + task["runs"]):
        start = time.perf_counter()
        result = session.run(None, given)[0]
        times.append((time.perf_counter() - start) * 1e3)
    result.tofile(task["output"])
    print("ms", statistics.median(times[3:]))


main()
