"""Packages, as `aen doctor` examines a compute node: where those of environments come from, and whether that can be had."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit, urlunsplit

from aen.doctor.findings import Finding, Patient, ok, problem
from aen.environments import old, site

_SECONDS = 5.0


def index(patient: Patient) -> Iterator[Finding]:
    """Where environments are made by uv: the Python package index, as long as they have to be made."""
    config, what = patient.config, "package index"
    made = {path.name.partition("-")[0] for path in old.versions(config.envs_dir)}
    url = site.index(os.environ).rstrip("/")
    if config.environments.backend != "venv" or not url or made >= {"root", "apps"}:
        return
    shown = re.sub(r"://[^/@\s]+@", "://…@", url)  # it may carry a password
    why = _unreachable(url)
    if not why:
        yield ok(what, f"{shown} answers")
        return
    cure = (
        "Name one that can be reached in /etc/pip.conf ([global] index-url = …), or let this host reach it: a proxy is told by "
        "https_proxy (for a unit: systemctl edit, Environment=)."
    )
    yield problem(what, f"{shown} can't be had ({why}), and the environments of projects are not made yet", cure)


def conda(patient: Patient) -> Iterator[Finding]:
    """Where environments are made by conda: what it takes packages from, and by what."""
    options, what = patient.config.environments, "environments.channels"
    if options.backend != "conda":
        return
    gone = [
        url for url in options.channels if url.startswith("file:") and not os.path.isdir(unquote(urlsplit(url).path))
    ]
    if not options.channels:
        message = "is empty, and environments.backend is conda: no environment can be made"
        yield problem(
            what, message, "Name the channels, as https://conda.anaconda.org/conda-forge or file:///srv/channel."
        )
    elif gone:
        yield problem(
            what, f"not there: {', '.join(gone)}", "Mount or copy the channel to that place, or name another."
        )
    else:
        yield ok(what, ", ".join(options.channels))
    if options.executable is None and importlib.util.find_spec("rattler") is None:
        yield problem("environments.backend", "is conda, and py-rattler is missing", "pip install 'aen[conda]'")
    elif options.executable is not None and not os.access(options.executable, os.X_OK):
        message = f"{options.executable} is not there or can't be executed"
        yield problem("environments.executable", message, "Install it there, or name another.")


def _unreachable(url: str) -> str:
    """Why the index can't be had; empty when it answers, whatever it answers to this question."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return "" if os.path.isdir(unquote(parts.path)) else "there is no such folder"
    if parts.scheme not in ("http", "https"):
        return "it is no address of http, https or file"
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(f"{plain}/pip/")  # noqa: S310  http and https alone come here
    if parts.username:
        told = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(told.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"it answers {error.code}" if error.code in (401, 403, 407) or error.code >= 500 else ""
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", "") or error) or type(error).__name__
