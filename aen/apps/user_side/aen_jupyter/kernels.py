"""Kernels: one for each Python environment of the project, the active one first, and what people installed themselves."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_core.paths import jupyter_path
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from .activity import watch_busy

_ACTIVE = os.path.basename(os.path.dirname(os.environ.get("AEN_PROJECT_BIN", "default/bin")))
_DEFAULT_KERNEL = "python3"  # what notebooks from elsewhere ask for
_PLAIN = re.compile(r"[a-z0-9._-]+")


class ProjectKernels(KernelSpecManager):
    """Kernel specs made from `<project>/envs/*`: nothing is installed for them, a new environment shows at once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ensure_native_kernel = False  # the Python of the app server is not the project's
        own = os.path.join(sys.prefix, "share", "jupyter", "kernels")
        self.kernel_dirs = [place for place in jupyter_path("kernels") if place != own]

    def find_kernel_specs(self) -> dict[str, str]:
        """Kernel names → resource directories, those of the project first."""
        found = {name: _resources(path) for name, path in _environments().items()}
        for name, path in super().find_kernel_specs().items():
            found.setdefault(name, path)
        return found

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The spec. Raises NoSuchKernel."""
        path = _environments().get(kernel_name)
        if path is None:
            return super().get_kernel_spec(kernel_name)
        version = _version(path)
        if version is None:
            raise NoSuchKernel(kernel_name)
        return _spec(path, version)


class ProjectKernelManager(AsyncMappingKernelManager):
    """Kernels that are asked for without a path start in the project, not in the folder of the server."""

    def start_watching_activity(self, kernel_id: str) -> None:
        """See Jupyter's own: also since when a kernel is busy."""
        super().start_watching_activity(kernel_id)
        watch_busy(self.get_kernel(kernel_id))

    async def start_kernel(self, *, kernel_id: Any = None, path: Any = None, **options: Any) -> str:
        """See Jupyter's own."""
        started: str = await super().start_kernel(kernel_id=kernel_id, path=path or "", **options)
        return started


def _environments() -> dict[str, Path]:
    """Kernel name → environment of the project that has ipykernel, the active one first."""
    folder = Path(os.environ["AEN_PROJECT_DIR"], "envs")
    try:
        paths = sorted((path for path in folder.iterdir() if _version(path)), key=_order)
    except OSError:
        return {}
    return {_name(path): path for path in paths}


def _order(path: Path) -> tuple[bool, str]:
    return (path.name != _ACTIVE, path.name)


def _name(path: Path) -> str:
    """The active environment answers to python3; another one to its own name."""
    if path.name == _ACTIVE:
        return _DEFAULT_KERNEL
    name = path.name.lower()
    return name if _PLAIN.fullmatch(name) and name != _DEFAULT_KERNEL else f"env-{name}"


def _version(path: Path) -> tuple[int, int] | None:
    """The Python version of an environment that can run a kernel, told by its folders (nothing is executed)."""
    if path.name.startswith(".") or not os.access(path / "bin" / "python", os.X_OK):
        return None
    for lib in path.glob("lib/python3.*"):
        minor = lib.name.removeprefix("python3.")
        if minor.isdigit() and (lib / "site-packages" / "ipykernel_launcher.py").is_file():
            return (3, int(minor))
    return None


def _resources(path: Path) -> str:
    """Where the logos are."""
    return str(path / "share" / "jupyter" / "kernels" / "python3")


def _spec(path: Path, version: tuple[int, int]) -> KernelSpec:
    # -P: the folder of a notebook is everybody's on the team; without it a file planted there would be imported before
    # the kernel is up. IPython puts the folder back on sys.path for people's own imports.
    safe = ["-P"] if version >= (3, 11) else []
    rest = [part for part in os.environ.get("PATH", "").split(":") if part != os.environ.get("AEN_PROJECT_BIN")]
    return KernelSpec(
        argv=[str(path / "bin" / "python"), *safe, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        env={"PATH": ":".join([str(path / "bin"), *rest]).replace("$", "$$"), "VIRTUAL_ENV": str(path)},
        display_name=f"{path.name} (Python {version[0]}.{version[1]})",
        language="python",
        interrupt_mode="signal",
        metadata={"debugger": True},
        resource_dir=_resources(path),
    )
