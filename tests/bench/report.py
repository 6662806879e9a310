"""Report: docs/benchmarks.md, one section for each benchmark, with the machine and versions it was measured with."""

from __future__ import annotations

import os
import platform
import re
import time
from importlib import import_module
from pathlib import Path

from tests.bench.row import Row

PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"
_TITLE = """# Benchmarks

Written by `./dev bench NAME --write`. Figures of different machines are not to be compared; the ratios are what counts.
"""


def write(name: str, rows: list[Row]) -> None:
    """Put the rows of one benchmark in the page, in place of what it said of it before."""
    text = PAGE.read_text() if PAGE.exists() else _TITLE
    sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    kept = [section.rstrip() + "\n" for section in sections if not section.startswith(f"## {name}\n")]
    PAGE.write_text("\n".join([*kept, _section(name, rows)]))


def _section(name: str, rows: list[Row]) -> str:
    module = import_module(f"tests.bench.{name}")
    versions = ", ".join(f"{what} {version}" for what, version in _versions(name).items())
    lines = [f"## {name}\n", f"{(module.__doc__ or '').strip()}\n", f"{_machine()}; {versions}.\n"]
    lines += ["| | measured | compared with | ratio | aim | |", "|---|---:|---:|---:|---|---|"]
    return "\n".join([*lines, *(_line(row) for row in rows)]) + "\n"


def _versions(name: str) -> dict[str, str]:
    found = {"Python": platform.python_version()}
    if name == "gateway":
        found.update(import_module("tests.bench.peers.systems").versions())
    return found


def _machine() -> str:
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.MULTILINE)
    load = os.getloadavg()[0]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return f"{day}, {os.cpu_count()} processors ({model[1] if model else platform.machine()}), load average {load:.1f}"


def _line(row: Row) -> str:
    against = "" if row.against is None else f"{row.against:,.2f}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    met = {None: "", True: "met", False: "**not met**"}[row.met]
    around = "" if row.spread is None else f" ± {row.spread:.0%}"
    return f"| {row.name} | {row.value:,.2f} {row.unit}{around} | {against} | {ratio} | {row.aim} | {met} |"
