"""`./dev bench [NAME] [--json FILE] [--write]`: runs the benchmarks and prints their rows. Figures are never tests.

A benchmark is a module here with `async def measure() -> AsyncIterator[Row]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from importlib import import_module
from pathlib import Path

from tests.bench import report
from tests.bench.row import Row

HERE = Path(__file__).parent
_PARTS = ("__init__", "__main__", "clones", "report", "row")
TOGETHER = ("distributed",)  # made of others: not once more when all are measured
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in _PARTS)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="AEN's benchmarks.")
    parser.add_argument("name", nargs="*", choices=[*NAMES, []], metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/benchmarks.md")
    arguments = parser.parse_args()
    rows: list[Row] = []
    failed = False
    for name in arguments.name or [name for name in NAMES if name not in TOGETHER]:
        print(f"── {name}", flush=True)
        begun = time.monotonic()
        try:
            found = asyncio.run(_measured(name))
            rows += found
            if arguments.write:
                report.write(name, found)
        except Exception as error:  # one benchmark that can't run must not cost the figures of the others
            print(f"   could not be measured: {type(error).__name__}: {error}", file=sys.stderr)
            failed = True
        print(f"   ({time.monotonic() - begun:.0f} s)", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([row.shown() for row in rows], indent=2) + "\n")
    sys.exit(1 if failed else 0)


async def _measured(name: str) -> list[Row]:
    rows = []
    async for row in import_module(f"tests.bench.{name}").measure():
        print(_line(row), flush=True)
        rows.append(row)
    return rows


def _line(row: Row) -> str:
    text = f"   {row.name:58} {row.value:12,.3f} {row.unit:8}"
    if row.spread is not None:
        text += f" ± {row.spread:.0%}"
    if row.ratio is not None:
        text += f"  against {row.against:,.3f}: x {row.ratio:.2f}"
    if row.aim:
        text += f"  aim {row.aim}: {'met' if row.met else 'NOT MET'}"
    return text


if __name__ == "__main__":
    main()
