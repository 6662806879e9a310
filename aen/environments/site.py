"""Site: what pip finds out about a machine by itself and uv does not: its certificates, and the index in pip's configuration."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_NO_INDEX", "UV_OFFLINE")
_PYPI = "https://pypi.org/simple"
_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf")


def for_uv(
    environ: Mapping[str, str], files: tuple[str, ...] = _FILES, bundles: tuple[str, ...] = _BUNDLES
) -> dict[str, str]:
    """Variables to add to `environ` for uv. What is set there for uv already wins."""
    added: dict[str, str] = {}
    # Behind a proxy that opens TLS, its certificate is in the system's store and nowhere else.
    if not any(environ.get(name) for name in _CERTIFICATES) and any(Path(path).is_file() for path in bundles):
        added["UV_SYSTEM_CERTS"] = "1"
    index = environ.get("PIP_INDEX_URL") or _configured(environ, files)
    if index and not any(environ.get(name) for name in _INDEXES):
        added["UV_DEFAULT_INDEX"] = index
    return added


def index(environ: Mapping[str, str], files: tuple[str, ...] = _FILES) -> str:
    """The package index that uv takes; empty when it is told to take none."""
    if environ.get("UV_NO_INDEX") or environ.get("UV_OFFLINE"):
        return ""
    told = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or environ.get("PIP_INDEX_URL")
    return told or _configured(environ, files) or _PYPI


def _configured(environ: Mapping[str, str], files: tuple[str, ...]) -> str:
    """`index-url` of pip's configuration files; the later file wins, as with pip. Files that can't be read count for nothing."""
    home = environ.get("HOME", "")
    own = (f"{home}/.pip/pip.conf", f"{home}/.config/pip/pip.conf") if home else ()
    named = (environ["PIP_CONFIG_FILE"],) if environ.get("PIP_CONFIG_FILE") else ()
    index = ""
    for path in (*files, *own, *named):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        index = (
            parser.get("install", "index-url", fallback="") or parser.get("global", "index-url", fallback="") or index
        )
    return index.strip()
