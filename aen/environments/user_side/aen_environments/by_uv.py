"""Virtual environments by uv, as the user. What uv says goes to the person."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

from aen_environments import Refused

Tool = dict[str, Any]
_ALWAYS = ("ipykernel", "pip")  # without them an environment has no kernel and can't grow
_LARGEST_TEXT = 1 << 20
_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w., -]*\])?\s*==\s*[\w.+!]+\s*(;[^;]*?)?(\s+--hash=\w+:[0-9a-f]+)+")
_SUSPECT_FOLDERS = ("bin", "etc", "share")
_SUSPECT_ENDINGS = (".pth", ".pc", "direct_url.json", "pyvenv.cfg")


def make(tool: Tool, place: str, final: str, packages: list[str], requirements: str) -> None:
    """A new environment at `place`, to be renamed to `final`: relocatable, so nothing in it names its place."""
    _uv(tool, ["venv", "--quiet", "--relocatable", "--no-project", "--python", tool["python"], place])
    install(tool, place, [*_ALWAYS, *packages] if not requirements else packages, requirements)


def install(tool: Tool, path: str, packages: list[str], requirements: str) -> None:
    """Install packages, and what a requirements file or lock names."""
    wanted, asked = _lines(packages) + requirements, ["pip", "install", "--python", _python(path), "-r", "-"]
    if _is_lock(wanted):
        _surely(tool, asked, wanted)
    else:
        _uv(tool, asked, wanted)


def uninstall(tool: Tool, path: str, packages: list[str]) -> None:
    """Remove packages."""
    _uv(tool, ["pip", "uninstall", "--python", _python(path), "-r", "-"], _lines(packages))


def sync(tool: Tool, path: str, lock: list[str]) -> None:
    """Exactly what the lock names, and nothing else."""
    pins = "".join(f"{line}\n" for line in lock if not line.startswith("#"))
    _surely(tool, ["pip", "sync", "--allow-empty-requirements", "--python", _python(path), "-"], pins)


def hashed(tool: Tool, lock: list[str]) -> str:
    """The lock with hashes, as the index tells them."""
    options = ["--generate-hashes", "--no-deps", "--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
    text = "".join(f"{line}\n" for line in lock if "==" in line)
    return _uv(tool, ["pip", "compile", *options, "-"], text, keep=True)


def clone(tool: Tool, source: str, place: str, final: str) -> None:
    """A copy of its own: what is done to one never shows in the other."""
    print(f"Copying {os.path.basename(source)}", flush=True)
    _copy_folder(source, place)
    rewrite(place, source.encode(), final.encode())


def _copy_folder(source: str, target: str) -> None:
    """By modes that leave the rights to the folder's default ACL; times stay: compiled files name them."""
    os.mkdir(target, 0o777)
    with os.scandir(source) as found:
        for one in found:
            to = os.path.join(target, one.name)
            if one.is_symlink():
                os.symlink(os.readlink(one.path), to)
            elif one.is_dir():
                _copy_folder(one.path, to)
            elif one.is_file():
                status = one.stat()
                shutil.copyfile(one.path, to)
                if status.st_mode & 0o111:
                    os.chmod(to, 0o775)  # noqa: S103  the team's: others have nothing by the ACL above
                os.utime(to, ns=(status.st_atime_ns, status.st_mtime_ns))


def rewrite(place: str, old: bytes, new: bytes) -> None:
    """Texts that name the old place: scripts that pip wrote, path files."""
    for folder, _, files in os.walk(place):
        inside = os.path.relpath(folder, place).split(os.sep)[0] in _SUSPECT_FOLDERS
        for name in files:
            path = os.path.join(folder, name)
            if not (inside or name.endswith(_SUSPECT_ENDINGS)) or os.path.islink(path):
                continue
            if os.path.getsize(path) > _LARGEST_TEXT:
                continue
            with open(path, "rb") as file:
                data = file.read()
            if old in data and b"\0" not in data:
                with open(path, "wb") as file:
                    file.write(data.replace(old, new))


def _python(path: str) -> str:
    return os.path.join(path, "bin", "python")


def _lines(packages: list[str]) -> str:
    return "".join(f"{package}\n" for package in packages)


_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def _surely(tool: Tool, arguments: list[str], wanted: str) -> None:
    """Install what is fixed to the last version. Where all of it was installed before, nobody on the network is asked: there
    is nothing to find out, and it may be slow or away. Raises Refused.
    """
    try:
        sys.stderr.write(_uv(tool, [*arguments, "--offline"], wanted, keep=True))
        sys.stderr.flush()
    except Refused:  # something is not in the person's cache
        _uv(tool, arguments, wanted)


def _is_lock(wanted: str) -> bool:
    """Whether every line names one version and its hashes: so it says all there is to install, dependencies too."""
    lines = (line.split(" #")[0].strip() for line in wanted.replace("\\\n", " ").splitlines())
    said = [line for line in lines if line and not line.startswith("#")]
    return bool(said) and all(_PINNED.fullmatch(line) for line in said)


def _uv(tool: Tool, arguments: list[str], text: str = "", keep: bool = False) -> str:
    """Run uv to its end; what it installs from is read from standard input. What it gives, or else says, if that is kept.

    Raises Refused when it fails.
    """
    environ = {**os.environ, "UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}
    if not environ.get("SSL_CERT_FILE") and any(map(os.path.isfile, _BUNDLES)):
        environ.setdefault("UV_SYSTEM_CERTS", "1")  # uv brings its own, and knows nothing of a site's
    sys.stdout.flush()
    done = subprocess.run(
        [tool["uv"], *arguments],
        input=text,
        text=True,
        check=False,
        env=environ,
        stdout=subprocess.PIPE if keep else None,
        stderr=subprocess.PIPE if keep else None,
    )
    if done.returncode:
        said = (done.stderr or "").strip()[-600:]
        raise Refused(f"uv could not do it{f': {said}' if said else '. What it said tells why'}.")
    return done.stdout or done.stderr or ""
