"""`aen doctor`: looks at the machine and the installation and says what is wrong and what to do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from aen.cli import Files, Json, app, files

if TYPE_CHECKING:
    from aen.cli.findings import Finding

_MARKS = {"ok": "✓", "warning": "!", "problem": "✗"}


@app.command()
def doctor(as_json: Json = False, config: Files = None) -> None:
    """Look for what is wrong, and say what to do. Exit code 1 if something is."""
    from aen.cli.examinations import EXAMINATIONS
    from aen.cli.findings import Patient
    from aen.config.load import load
    from aen.config.machine import Machine
    from aen.config.resolve import resolve

    machine = Machine.here()
    loaded = load(files(config), os.environ)
    patient = Patient(
        resolve(loaded.config, roles=("server", "compute", "gateway"), machine=machine), machine, loaded.files
    )
    findings = [finding for examine in EXAMINATIONS for finding in examine(patient)]
    _print(findings, as_json)
    sys.exit(1 if any(finding.state == "problem" for finding in findings) else 0)


def _print(findings: list[Finding], as_json: bool) -> None:
    if as_json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
        return
    for finding in findings:
        print(f"{_MARKS[finding.state]} {finding.what}: {finding.message}")
    count = sum(finding.state == "problem" for finding in findings)
    print(f"\n{count} problem{'' if count == 1 else 's'}." if count else "\nNo problems.")
