"""A conda channel of hand-made packages, in both formats, for tests: what the packages hold can really be run.

`python` is a link to the system's interpreter with a `pyvenv.cfg`, so that its prefix is the environment.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import platform
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import rattler
import zstandard

PLACEHOLDER = "/placeholder" + "_placehold" * 24  # what conda-build puts where the prefix will stand
SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}.get(platform.machine(), "linux-64")
SYSTEM = Path("/usr/bin/python3").resolve()
SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
_VERSION = ".".join(map(str, sys.version_info[:3]))

#: Packages that AEN installs into its root environments, besides python.
STANDARD = "pip numpy pandas matplotlib-base jupyterlab notebook jupyter_server_terminals nbconvert py-rattler".split()


@dataclass
class Package:
    """One package: files by path (bytes, or the target of a link)."""

    name: str
    version: str = "1.0"
    build: str = "0"
    depends: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def paths(self) -> list[dict[str, object]]:
        """What `info/paths.json` says of each."""
        told: list[dict[str, object]] = []
        for path, data in self.files.items():
            sha256 = hashlib.sha256(data).hexdigest()
            entry: dict[str, object] = {"_path": path, "path_type": "hardlink", "sha256": sha256}
            entry["size_in_bytes"] = len(data)
            if PLACEHOLDER.encode() in data:
                mode = "binary" if b"\0" in data else "text"
                entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": mode}
            told.append(entry)
        nothing = hashlib.sha256(b"").hexdigest()
        told += [{"_path": path, "path_type": "softlink", "sha256": nothing, "size_in_bytes": 0} for path in self.links]
        return sorted(told, key=lambda entry: str(entry["_path"]))

    def info(self) -> dict[str, bytes]:
        """The `info` folder."""
        index = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": 0,
            "depends": list(self.depends),
            "subdir": SUBDIR,
            "arch": platform.machine(),
            "platform": "linux",
        }
        return {
            "info/index.json": json.dumps(index).encode(),
            "info/paths.json": json.dumps({"paths": self.paths(), "paths_version": 1}).encode(),
            "info/files": "".join(f"{path}\n" for path in [*self.files, *self.links]).encode(),
        }


def standard() -> list[Package]:
    """The packages that root environments need, and three more: two that fit, and one that never does."""
    python = Package(
        "python",
        _VERSION,
        files={
            "pyvenv.cfg": f"home = {SYSTEM.parent}\ninclude-system-site-packages = false\nversion = {_VERSION}\n".encode(),
            f"{SITE}/README.txt": b"packages go here\n",
        },
        links={"bin/python": str(SYSTEM), "bin/python3": "python"},
    )
    kernel = Package("ipykernel", depends=("python",), files={f"{SITE}/ipykernel_launcher.py": b"print('a kernel')\n"})
    uv = Package("uv", files={"bin/uv": b"#!/bin/sh\necho uv\n"})
    rest = [Package(name, depends=("python",), files={f"share/{name}/there": b"x\n"}) for name in STANDARD]
    return [python, kernel, uv, *rest, tool("1.0"), tool("2.0"), Package("picky", depends=("tool <2",))]


def tool(version: str) -> Package:
    """A package whose files hold the prefix: a script, a setting, a binary with the prefix in a C string twice."""
    text = f"{PLACEHOLDER}/share/tool:{PLACEHOLDER}/etc"
    binary = b"\x7fELF\0\1\2" + text.encode() + b"\0after\0" + bytes(range(256)) + b"\0end"
    return Package(
        "tool",
        version,
        depends=("python",),
        files={
            "bin/tool": f"#!{PLACEHOLDER}/bin/python\nimport sys\nprint({version!r}, sys.prefix)\n".encode(),
            "lib/tool.settings": f"home={PLACEHOLDER}\n".encode(),
            "lib/libtool.so": binary,
            "share/tool/large.bin": bytes(4096),
        },
    )


async def channel(place: Path, packages: list[Package] | None = None) -> str:
    """Write the packages (by turns in both formats) and their index; the channel's address."""
    folder = place / SUBDIR
    folder.mkdir(parents=True)
    (place / "noarch").mkdir()
    for number, package in enumerate(packages if packages is not None else standard()):
        (_old_format if number % 2 else _new_format)(folder, package)
    await rattler.index.index_fs(place)
    return place.as_uri()


def _old_format(folder: Path, package: Package) -> None:
    data = bz2.compress(_tar({**package.info(), **package.files}, package.links))
    (folder / f"{package.name}-{package.version}-{package.build}.tar.bz2").write_bytes(data)


def _new_format(folder: Path, package: Package) -> None:
    stem = f"{package.name}-{package.version}-{package.build}"
    pack = zstandard.ZstdCompressor().compress
    with zipfile.ZipFile(folder / f"{stem}.conda", "w", zipfile.ZIP_STORED) as file:
        file.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        file.writestr(f"pkg-{stem}.tar.zst", pack(_tar(package.files, package.links)))
        file.writestr(f"info-{stem}.tar.zst", pack(_tar(package.info(), {})))


def _tar(files: dict[str, bytes], links: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755 if path.startswith("bin/") else 0o644
            archive.addfile(entry, io.BytesIO(data))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return made.getvalue()
