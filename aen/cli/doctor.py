"""`aen doctor`: looks at the machine and the installation and says what is wrong and what to do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aen.cli import Files, Json, app, files

if TYPE_CHECKING:
    from aen.doctor.findings import Finding, Patient

_MARKS = {"ok": "✓", "warning": "!", "problem": "✗"}


@app.command()
def doctor(
    role: Annotated[
        str,
        typer.Option("--role", help="all, or a list of server, gateway, compute. Else: as this host joined, or all."),
    ] = "",
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="On the server: what every node found of itself.")
    ] = False,
    as_json: Json = False,
    config: Files = None,
) -> None:
    """Look for what is wrong, and say what to do. Exit code 1 if something is."""
    if everywhere:
        _everywhere(as_json, config)
        return
    from aen.doctor import examine

    findings = examine(_patient(role, config))
    tell(findings, as_json=as_json)
    sys.exit(1 if any(finding.state == "problem" for finding in findings) else 0)


def _patient(role: str, config: Files) -> Patient:
    """This host, with what was decided when it joined."""
    from aen.belonging import follow
    from aen.cli.serve import parse_roles
    from aen.config.load import load
    from aen.config.machine import Machine
    from aen.config.resolve import resolve
    from aen.credentials import Credentials
    from aen.doctor import Patient

    machine = Machine.here()
    loaded = load(files(config), os.environ)
    data_dir = resolve(loaded.config, roles=("server", "compute", "gateway"), machine=machine).data_dir
    mine = Credentials.load(data_dir)
    roles = parse_roles(role) if role else mine.joined.roles if mine is not None else parse_roles("all")
    given = loaded.config
    if mine is not None and "server" not in roles:
        given = follow(given, roles, mine)
    resolved = resolve(given, roles=roles, machine=machine)
    return Patient(resolved, machine, loaded.files, roles, mine if resolved.bus.mode != "local" else None)


def _everywhere(as_json: bool, config: Files) -> None:
    """What every node found, as the server gathered it."""
    import json

    from aen.cli.calling import call
    from aen.doctor.findings import Finding

    nodes = call(config, lambda api: api.get("doctor")["items"])
    if as_json:
        print(json.dumps(nodes, indent=2, ensure_ascii=False))
    for node in () if as_json else nodes:
        print(f"── {node['node']} ({', '.join(node['roles'])}) on {node['host']}")
        _lines([Finding(**finding) for finding in node["findings"] if finding["state"] != "ok"])
    sys.exit(1 if any(one["state"] == "problem" for node in nodes for one in node["findings"]) else 0)


def tell(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
        return
    _lines(findings)
    print(f"\n{_summed(findings)}")


def _summed(findings: list[Finding]) -> str:
    """How many problems and warnings there are."""
    states = [finding.state for finding in findings]
    told = [
        f"{count or 'no'} {word}{'' if count == 1 else 's'}"
        for word in ("problem", "warning")
        if (count := states.count(word)) or word == "problem"
    ]
    return f"{', '.join(told).capitalize()}."


def _lines(findings: list[Finding]) -> None:
    for finding in findings:
        print(f"{_MARKS[finding.state]} {finding.what}: {finding.message}")
        if finding.cure:
            print(f"    → {finding.cure}")
