"""Measures reluctor on a GPU, beside PyTorch where it is installed: writes what it finds to a folder, as text and Markdown.

    cargo build --release
    python3 benches/gpu/run.py --device gpu --out target/gpu

In this order: the adapter, random networks against the reference, every network given with --network layer by layer, then
convolutions at batch 1 and 32, by the rule and tuned. Times are the device's own, by its timestamps and by CUDA's events,
without upload and readback; no convolution is timed before its result was checked.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Input CxHxW, filter KxRxS, stride, padding, groups, pool: what ResNet and MobileNetV2 consist of, and ResNet's fused stem.
LAYERS = [
    "64x56x56,64x3x3,p1",
    "128x28x28,128x3x3,p1",
    "256x14x14,256x3x3,p1",
    "512x7x7,512x3x3,p1",
    "256x56x56,64x1x1",
    "64x56x56,256x1x1",
    "3x224x224,64x7x7,s2,p3",
    "144x56x56,144x3x3,p1,g144",
    "3x224x224,64x7x7,s2,p3,pool=max3s2p1",
]


class Bench:
    def __init__(self, args):
        self.args, self.folder = args, pathlib.Path(args.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Tables of other machines must not decide here.
        self.cache = tempfile.TemporaryDirectory()
        self.environment = os.environ | {"XDG_CACHE_HOME": self.cache.name, "NODEVICE_SELECT": "1"}

    def reluctor(self, *arguments):
        command = [self.args.reluctor, *arguments, "--device", self.args.device]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment)

    def note(self, name, *arguments):
        result = self.reluctor(*arguments)
        text = f"$ reluctor {' '.join(arguments)}\n{result.stdout}{result.stderr}exit code {result.returncode}\n\n"
        with open(self.folder / name, "a") as file:
            file.write(text)
        last = (result.stdout.strip().splitlines() or [result.stderr.strip()])[-1]
        print(f"{name}: {last} (exit code {result.returncode})", flush=True)

    def layer(self, spec, *flags):
        """Milliseconds on the device and the kernel, or why there are none."""
        length = ["--iterations", str(self.args.runs), "--duration", "0.2"]
        result = self.reluctor("bench", "--conv", spec, *length, *flags, "--json")
        if result.returncode != 0:
            return None, 0, (result.stdout + result.stderr).strip().splitlines()[-1:]
        fused = json.loads(result.stdout)["ways"][0]
        return fused["device_ms"] or fused["ms"]["median"], fused["flops"], None


def torch_layer(spec, runs):
    """The same convolution by cuDNN in f32, TF32 off; nothing where PyTorch or a GPU is missing."""
    try:
        import torch
        from torch.nn import functional
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    shape, filters, *rest = spec.split(",")
    n, c, h, w = map(int, shape.split("x"))
    out_c, k_h, k_w = map(int, filters.split("x"))
    number = {part[0]: int(part[1:]) for part in rest if part[0] in "spg" and part[1:].isdigit()}
    pooled = any(part.startswith("pool=") for part in rest)
    groups = number.get("g", 1)
    x = torch.randn(n, c, h, w, device="cuda")
    weight = torch.randn(out_c, c // groups, k_h, k_w, device="cuda")
    bias = torch.randn(out_c, device="cuda")

    def run():
        y = functional.conv2d(x, weight, bias, number.get("s", 1), number.get("p", 0), groups=groups)
        y = functional.relu(y, inplace=True)
        return functional.max_pool2d(y, 3, 2, 1) if pooled else y

    times = []
    with torch.inference_mode():
        for turn in range(10 + runs):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            torch.cuda.synchronize()
            times += [start.elapsed_time(end)] if turn >= 10 else []
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reluctor", default=str(ROOT / "target/release/reluctor"))
    parser.add_argument("--device", default="gpu")
    parser.add_argument("--out", default=str(ROOT / "target/gpu"))
    parser.add_argument("--network", action="append", default=[], metavar="FILE", help="an ONNX file; may be repeated")
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 32])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--minutes", default="1", help="of random networks")
    args = parser.parse_args()

    bench = Bench(args)
    devices = subprocess.run([args.reluctor, "devices", "-v"], capture_output=True, text=True, env=bench.environment)
    (bench.folder / "devices.txt").write_text(devices.stdout + devices.stderr)
    bench.note("selftest.txt", "selftest", "--minutes", args.minutes)
    for network in args.network:
        bench.note("compare.txt", "compare", network, "--random")
        bench.note("networks.txt", "bench", network, "--tune")
    lines = ["| convolution, ReLU | reluctor ms | TFLOP/s | tuned ms | PyTorch ms | tuned / PyTorch |", "|---|---|---|---|---|---|"]
    for batch in args.batch:
        for layer in LAYERS:
            spec = f"{batch}x{layer},act=relu"
            ms, flops, problem = bench.layer(spec)
            tuned, _, tuned_problem = bench.layer(spec, "--tune")
            peer = torch_layer(spec, args.runs)
            if problem or tuned_problem:
                lines.append(f"| {spec} | failed: {problem or tuned_problem} | | | | |")
            else:
                ratio = f"{tuned / peer:.2f}" if peer else "-"
                peer = f"{peer:.4f}" if peer else "-"
                lines.append(f"| {spec} | {ms:.4f} | {flops / ms / 1e9:.2f} | {tuned:.4f} | {peer} | {ratio} |")
            print(lines[-1], flush=True)
    (bench.folder / "layers.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
