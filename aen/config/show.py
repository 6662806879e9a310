"""Showing the configuration: what is in force and where it came from, the commented sample, the reference."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from aen.config.load import Loaded
from aen.config.model import Config
from aen.config.options import MISSING, Option, options, plain, sections, type_name

HIDDEN = "(hidden)"
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]*@")  # in an address, as mongodb://user:password@host

_SAMPLE_HEAD = """\
# AEN's configuration: every option with its default, commented out.
# AEN reads /etc/aen/aen.yaml, or the files given with `-c FILE`; config/aen.yaml of a checkout is never read.
# Take the # away from what you change.
# Each option can also be set in the environment: server.url is AEN_SERVER__URL.
# Made by `aen config sample`.
"""

_REFERENCE_HEAD = """\
# Configuration reference

Made by `aen config docs`; every option of `aen/config/model.py`.

AEN reads `/etc/aen/aen.yaml` if no `-c` is given, else each `-c FILE` in order (before or after the subcommand;
the last one that sets an option wins), then the environment. The working directory is never searched.
`aen config check` says everything that is wrong at once, with file and line;
`aen config show --origin` says what is in force and where it was set. Unknown options are errors.
Options marked *live* are applied on SIGHUP; all others at the next start.

## Names that administrators of AEN 4 know

| AEN 4 | here | |
|---|---|---|
| `projectRoot` | `compute.project_root` | where projects live; `/projects` as root |
| `AEN_SRVC_ACCT` | `service_account` | the Linux account that AEN itself runs as; made at the first start as root |
| `AEN_SRVC_GRP` | – | the service account's own primary group |
| `ANON_USER` | `sharing.public_account` | shows public projects to visitors without an account; AEN makes it when it is first needed, and no project needs it to start |
| `wk-server`, `wk-gateway`, `wk-compute` | `aen serve --role server`, `gateway`, `compute` | one program |
| `/opt/wakari`, `/etc/wakari` | `/opt/aen`, `/etc/aen`, `/var/lib/aen`, `/var/log/aen` | |
"""


def show(loaded: Loaded, config: Config, *, origin: bool) -> str:
    """`config` (blanks filled) as YAML, secrets hidden; with `origin`, each line says where its value was set."""
    lines: list[str] = []
    _show_section(lines, loaded, config, (), origin)
    return "\n".join(lines) + "\n"


def values(config: Config) -> dict[str, Any]:
    """Every value in force by its dotted path, secrets hidden."""
    found: dict[str, Any] = {}
    for option in options():
        if "<name>" not in option.path:
            value: Any = config
            for part in option.path.split("."):
                value = getattr(value, part)
            found[option.path] = _shown(value)
    return found


def sample() -> str:
    """The commented sample, `config/aen.yaml`."""
    lines = [_SAMPLE_HEAD]
    heads = dict(sections())
    seen: set[str] = set()
    for option in options():
        *parents, name = option.path.split(".")
        for depth in range(1, len(parents) + 1):
            head = ".".join(parents[:depth])
            if head not in seen and "<name>" not in head and head in heads:
                seen.add(head)
                indent = "  " * (depth - 1)
                lines += ["", f"{indent}# {heads[head]}", f"{indent}{parents[depth - 1]}:"]
        if "<name>" not in option.path:
            lines += _sample_option(option, name, "  " * len(parents))
    return "\n".join(lines) + "\n"


def reference() -> str:
    """The reference, `config/REFERENCE.md`."""
    lines = [_REFERENCE_HEAD]
    heads = dict(sections())
    rows: dict[str, list[str]] = {}
    for option in options():
        rows.setdefault(option.path.rpartition(".")[0], []).append(_reference_row(option))
    for parent, found in rows.items():
        title = f"`{parent}`: {heads[parent]}" if parent in heads else f"`{parent}`" if parent else "The top level"
        lines += ["", f"## {title}", "", "| option | type | default | meaning |", "|---|---|---|---|", *found]
    return "\n".join(lines) + "\n"


def _show_section(lines: list[str], loaded: Loaded, section: BaseModel, way: tuple[str, ...], origin: bool) -> None:
    indent = "  " * len(way)
    for name in type(section).model_fields:
        value, path = getattr(section, name), (*way, name)
        if isinstance(value, BaseModel):
            lines.append(f"{indent}{name}:")
            _show_section(lines, loaded, value, path, origin)
            continue
        line = f"{indent}{name}: {_yaml(_shown(value))}"
        lines.append(f"{line}  # {_origin(loaded, path, value)}" if origin else line)


def _origin(loaded: Loaded, path: tuple[str, ...], value: Any) -> str:
    given = loaded.origin(".".join(path))
    if given != "default":
        return given
    before: Any = loaded.config
    for part in path:
        before = getattr(before, part)
    return "default" if before == value else "default, filled in for this machine"


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if isinstance(value, dict):
        return {key: _hidden(inner) if key == "env" else _shown(inner) for key, inner in value.items()}
    if isinstance(value, BaseModel):
        return _shown(value.model_dump(mode="json"))
    if isinstance(value, str):
        return _PASSWORD.sub(rf"\1{HIDDEN}@", value)
    return plain(value)


def _hidden(env: Any) -> Any:
    """Variables of apps: their names; what stands in them is often a secret."""
    return dict.fromkeys(env, HIDDEN) if isinstance(env, dict) else _shown(env)


def _yaml(value: Any) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if not value or value != value.strip() else _scalar(value)
    return _scalar(value)


def _scalar(value: Any) -> str:
    return str(yaml.safe_dump(value, allow_unicode=True, width=10_000)).removesuffix("...\n").strip()


def _sample_option(option: Option, name: str, indent: str) -> list[str]:
    lines = ["", f"{indent}# {option.help}", f"{indent}# {type_name(option.annotation)}; {option.variable}"]
    return [*lines, f"{indent}#{name}: {_yaml(plain(option.default))}"]


def _reference_row(option: Option) -> str:
    default = "(needed)" if option.default is MISSING else _yaml(plain(option.default))
    meaning = option.help.replace(" [live]", " *live*").replace("|", "\\|").replace("<", "&lt;")
    kind = type_name(option.annotation).replace(" | ", ", ")
    return f"| `{option.path}` | {kind} | `{default}` | {meaning} |"
