"""A run: a notebook, from its first cell to its last, in an environment of the project; kept as a notebook of its own."""

from __future__ import annotations

import json
import keyword
import os
import re
import shutil
import tempfile
import time
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from aen_errands import Refused, Told, places

_LARGEST = 64 << 20  # bytes of the notebook
_SAVE_SECONDS = 5.0  # so often it is kept while it goes on
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def run(told: Told) -> Told:
    """Run it. `success` tells whether every cell did; `path` is the notebook that was kept."""
    notebook = _notebook(told)
    _give(notebook, dict(told.get("parameters") or {}))
    folder = _folder(told["project"], str(told["name"]))
    keeper = _Keeper(notebook, folder, f"{told['time']}.ipynb")
    where = str(told["notebook"]).strip("/").rpartition("/")[0]
    beside = tempfile.mkdtemp(prefix="aen-run-")
    try:
        error = _through(notebook, _manager(told, beside), places.folder(told["project"], where), keeper)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    keeper.save()
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    path = places.wire(os.fsencode(os.path.relpath(keeper.path, told["project"])))
    return {"success": not error, "error": error, "path": path, "cells": cells}


def _notebook(told: Told) -> Any:
    data = places.read(told["project"], str(told["notebook"]), _LARGEST)
    try:
        return nbformat.reads(data.decode(), as_version=4)
    except Exception as error:  # whatever the reader trips over
        why = f"{type(error).__name__}: {error}"[:300]
        raise Refused(f"{told['notebook'][:200]} is no notebook that can be read ({why}).") from error


def _give(notebook: Any, parameters: dict[str, Any]) -> None:
    """A cell with the parameters, after the one that is tagged `parameters`, else first."""
    if not parameters:
        return
    lines = ["# Parameters of this run"]
    for name, value in parameters.items():
        if not name.isidentifier() or keyword.iskeyword(name):
            raise Refused(f"{name[:80]!r} is no name of a variable.")
        lines.append(f"{name} = {json.loads(json.dumps(value))!r}")
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    tagged = [n for n, one in enumerate(notebook.cells) if "parameters" in one.metadata.get("tags", ())]
    if notebook.nbformat_minor < 5:
        cell.pop("id", None)
    notebook.cells.insert(tagged[0] + 1 if tagged else 0, cell)


def _folder(project: str, name: str) -> str:
    """`runs/<name>`, made as it is needed."""
    if not _NAME.fullmatch(name):
        raise Refused(f"{name[:80]!r} can't be the name of a folder.")
    inside = ""
    for part in ("runs", name):
        above = places.folder(project, inside)
        inside = f"{inside}/{part}".strip("/")
        try:
            os.mkdir(os.path.join(above, part))
        except FileExistsError:
            continue
    return places.folder(project, inside)


def _manager(told: Told, beside: str) -> Any:
    """A kernel of the environment, reached by sockets in a folder that nobody else can open."""
    place = os.path.join(told["project"], "envs", str(told["environment"]))
    python = os.path.join(place, "bin", "python")
    if not os.access(python, os.X_OK):
        raise Refused(f"There is no environment {told['environment']} in this project (any more).")
    environ = {"PATH": f"{place}/bin:/usr/local/bin:/usr/bin:/bin", "VIRTUAL_ENV": place}
    argv = [python, "-P", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    if _minor(place) < 11:
        argv.remove("-P")
    manager = AsyncKernelManager(transport="ipc", connection_file=os.path.join(beside, "k.json"))
    manager._kernel_spec = KernelSpec(argv=argv, env=environ, display_name=told["environment"], language="python")
    return manager


def _minor(place: str) -> int:
    try:
        found = [name for name in os.listdir(os.path.join(place, "lib")) if name.startswith("python3.")]
        return max(int(name.removeprefix("python3.")) for name in found)
    except (OSError, ValueError):
        return 0


class _Keeper:
    """Keeps the notebook while it goes on, so that a run that is ended leaves what it got to."""

    def __init__(self, notebook: Any, folder: str, name: str) -> None:
        self._notebook, self._folder, self._name, self._saved = notebook, folder, name, 0.0
        self.path = os.path.join(folder, name)
        self.save()

    def save(self) -> None:
        places.put(self._folder, self._name, nbformat.writes(self._notebook).encode())
        self._saved = time.monotonic()

    def executed(self, cell: Any, cell_index: int, **_: Any) -> None:
        """After each cell."""
        print(f"Cell {cell_index + 1} of {len(self._notebook.cells)} is done.", flush=True)
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save()


def _through(notebook: Any, manager: Any, where: str, keeper: _Keeper) -> str:
    """Run all cells; what went wrong, or nothing."""
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=None,
        resources={"metadata": {"path": where}},
        on_cell_executed=keeper.executed,
        shutdown_kernel="immediate",
    )
    try:
        client.execute()
    except CellExecutionError as error:
        print(_COLOURS.sub("", str(error))[-4000:], flush=True)
        return f"{error.ename}: {error.evalue}"[:1000]
    except DeadKernelError:
        return "The kernel died: it crashed, or ran out of memory."
    except RuntimeError as error:
        return f"The kernel could not be started: {str(error)[:500]}. Does the environment have ipykernel?"
    return ""
