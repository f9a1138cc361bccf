#!/usr/bin/env python3
"""Writes cases.npz and versions.json: graphs of one operator, their inputs, and ONNX Runtime's outputs; and casts.npz.

    generate.py            write them
    generate.py --check    regenerate in memory, and say whether that is what is stored (exit code 1 where it is not)
"""

import argparse
import collections
import io
import json
import pathlib
import zipfile

import numpy as np
import onnx
import onnxruntime

import casts
import convolution
import elementwise
import layout
import pooling
import witnesses
from case import SEED, assert_exact

HERE = pathlib.Path(__file__).parent
ARCHIVE, CASTS, VERSIONS = HERE / "cases.npz", HERE / "casts.npz", HERE / "versions.json"
SUMS_OF_PRODUCTS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]


def all_cases():
    yield from convolution.conv_cases()
    yield from convolution.conv_transpose_cases()
    yield from pooling.pool_cases()
    yield from elementwise.activation_cases()
    yield from elementwise.arithmetic_cases()
    yield from layout.other_cases()


def members():
    """Every array of the archive by its name: NAME/model (the file's bytes), NAME/input_INPUT, NAME/output."""
    arrays, left_out, used, seen = {}, [], set(), set()
    for case in all_cases():
        if case.name in seen:
            raise SystemExit(f"two cases are called {case.name}")
        seen.add(case.name)
        output = witnesses.witnessed(case, used)
        if output is None:
            left_out.append(case.name)
            continue
        if case.operator in SUMS_OF_PRODUCTS:
            assert_exact(case, output)
        model = case.model(output.shape)
        onnx.checker.check_model(model, full_check=True)
        arrays[f"{case.name}/model"] = np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)
        arrays |= {f"{case.name}/input_{name}": x for name, x in case.inputs.items()}
        arrays[f"{case.name}/output"] = output
    unused = {*witnesses.LEFT_OUT, *witnesses.EVALUATOR_DEPARTS} - used
    if unused:
        raise SystemExit(f"no case needs these patterns of witnesses.py: {sorted(unused)}")
    return arrays, left_out


def record(arrays, left_out):
    """Where the archive comes from."""
    operators = collections.Counter(name.split("/")[0] for name in arrays if name.endswith("/model"))
    return {
        "seed": SEED,
        "numpy": np.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "cases": sum(operators.values()),
        "operators": dict(sorted(operators.items())),
        "left_out": left_out,
    }


def write(path, arrays):
    """A compressed archive without dates: its bytes are a function of the arrays."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            bytes_ = io.BytesIO()
            # `ascontiguousarray` would make a scalar a vector.
            np.lib.format.write_array(bytes_, np.asarray(array, order="C"), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, bytes_.getvalue())


def differences(path, arrays):
    """A line for each member that the stored archive lacks, has beyond these, or holds otherwise, bit by bit."""
    with np.load(path) as stored:
        for name in sorted({*arrays, *stored.files}):
            if name not in arrays or name not in stored.files:
                yield f"{name}: only {'generated' if name in arrays else 'stored'}"
                continue
            new, old = arrays[name], stored[name]
            if new.dtype != old.dtype or new.shape != old.shape:
                yield f"{name}: {new.dtype}{list(new.shape)}, stored is {old.dtype}{list(old.shape)}"
            elif new.tobytes() != old.tobytes():
                with np.errstate(all="ignore"):
                    farthest = np.nanmax(np.abs(new.astype(float) - old.astype(float)))
                yield f"{name}: differs by up to {farthest:g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is stored, write nothing")
    check = parser.parse_args().check
    arrays, left_out = members()
    pairs = casts.arrays()
    new = record(arrays, left_out)
    if not check:
        write(ARCHIVE, arrays)
        write(CASTS, pairs)
        VERSIONS.write_text(json.dumps(new, indent=2) + "\n")
        print(f"{new['cases']} cases, {len(left_out)} left out, {ARCHIVE.stat().st_size} bytes")
        return
    lines = [*differences(ARCHIVE, arrays), *differences(CASTS, pairs)]
    lines += [f"{key}: {new.get(key)}, stored is {old}" for key, old in json.loads(VERSIONS.read_text()).items() if new.get(key) != old]
    print("\n".join(lines) or f"the same: {new['cases']} cases")
    raise SystemExit(1 if lines else 0)


if __name__ == "__main__":
    main()
