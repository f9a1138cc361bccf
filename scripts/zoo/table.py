"""tests/ZOO.md: what became of each network."""

import pathlib

import onnxruntime

HEAD = """# Networks that were tried

Networks as their exporters write them, with random weights, held against ONNX Runtime {version} (CPU, its optimisations off) on the
CPU executor and on Mesa's software Vulkan adapter. `scripts/try-zoo` makes the files from packages of PyPI, runs them and writes
this table; the files stay out of the tree.

An output is right where |d| <= 0.001 (largest |y| + |y|) for each element y. The error in the table is the largest |d| as a share
of the output's largest element. Results of a network that a tool quantized may differ by a step, since a number near the middle
between two is rounded either way; and 16-bit floats are widened to f32 here, in which ONNX Runtime rounds them again: for both the
tolerance is 0.02.

{passed} of {all} pass on both. Those that do not are refused by name, and nothing was wrong.

| network | source | opset | nodes | CPU | Vulkan |
|---|---|---|---|---|---|
"""


def cell(verdict) -> str:
    if verdict.passed:
        return f"{verdict.worst:.1e}"
    return "refused" if verdict.refused else f"**wrong**: {verdict.reason[:120]}"


def reason(verdict) -> str:
    """The operators that are refused, each once."""
    text = verdict.reason.split("node(s): ", 1)[-1]
    operators = {part.split(" '", 1)[0]: part.rsplit("': ", 1)[-1] for part in text.split("; ") if "': " in part}
    return "; ".join(
        f"{operator} ({why})" if "the operator is not" not in why else operator for operator, why in operators.items()
    )


def write(path: pathlib.Path, rows: list) -> None:
    passed = sum(all(verdict.passed for verdict in verdicts.values()) for _, _, verdicts in rows)
    lines = [HEAD.format(version=onnxruntime.__version__, passed=passed, all=len(rows))]
    notes = []
    for network, info, verdicts in rows:
        cells = [cell(verdict) for verdict in verdicts.values()]
        lines.append(
            f"| {network.name} | {network.source} | {info['opset']} | {info['nodes']} | {' | '.join(cells)} |\n"
        )
        refused = next((verdict for verdict in verdicts.values() if verdict.refused), None)
        if refused:
            notes.append(f"- {network.name}: {reason(refused)}\n")
        elif not all(verdict.passed for verdict in verdicts.values()):
            notes.append(f"- {network.name}: {next(v.reason for v in verdicts.values() if not v.passed)[:200]}\n")
    if notes:
        lines += ["\nWhat is refused:\n\n", *notes]
    path.write_text("".join(lines))
