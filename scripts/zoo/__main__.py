"""Tries every network, or those named, and writes the table. See scripts/try-zoo."""

import argparse
import pathlib
import sys
import time

import converted
import elsewhere
import light
import modules
import table
import vision
from judge import judge, prepare

ROOT = pathlib.Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/try-zoo")
    parser.add_argument(
        "names", nargs="*", help="networks whose names contain one of these; all of them where none is given"
    )
    parser.add_argument("--device", nargs="+", default=["cpu", "llvmpipe"])
    parser.add_argument("--fresh", action="store_true", help="make files and expected outputs again")
    arguments = parser.parse_args()

    families = [light, vision, modules, elsewhere, converted]
    everything = [network for family in families for network in family.networks()]
    chosen = [n for n in everything if not arguments.names or any(part in n.name for part in arguments.names)]
    rows, failed = [], 0
    for network in chosen:
        start = time.monotonic()
        folder = ROOT / "target/zoo/networks" / network.name
        try:
            info = prepare(network, folder, arguments.fresh)
        except Exception as error:
            failed += 1
            print(f"{network.name:40} was not made: {type(error).__name__}: {str(error)[:300]}", flush=True)
            continue
        verdicts = {device: judge(network, folder, device) for device in arguments.device}
        rows.append((network, info, verdicts))
        failed += any(not verdict.passed and not verdict.refused for verdict in verdicts.values())
        said = [f"{device}: {table.cell(verdict)}" for device, verdict in verdicts.items()]
        print(f"{network.name:40} {', '.join(said)} ({time.monotonic() - start:.0f} s)", flush=True)
    if not arguments.names:
        table.write(ROOT / "tests/ZOO.md", rows)
    return 1 if failed else 0


sys.exit(main())
