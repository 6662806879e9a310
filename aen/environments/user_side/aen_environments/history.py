"""History: each change of an environment kept as a lock, `envs/.history/<environment>/<number>.json`."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

from aen_environments import Refused

_SHOWN = 50
_CHANGES = 40  # packages named in one entry
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:==|@)\s*(?P<version>.+)")
_URL = re.compile(r".*/(?P<name>[^/]+)-(?P<version>[^-/]+-[^-/]+?)(?:\.tar\.bz2|\.conda)(?:#.*)?")


def keep(envs: str, name: str, user: str, act: str, detail: str, lock: list[str]) -> None:
    """Write an entry, whole or not at all. The one before tells what changed."""
    folder = os.path.join(envs, ".history", name)
    os.makedirs(folder, exist_ok=True)
    numbers = _numbers(folder)
    before = _read(folder, numbers[-1])["lock"] if numbers else []
    number = numbers[-1] + 1 if numbers else 1
    changes = [] if not numbers else _said(differences(before, lock))
    entry = {
        "number": number,
        "at": int(time.time() * 1000),
        "user": user,
        "act": act,
        "detail": detail[:200],
        "changes": changes[:_CHANGES],
        "packages": len(lock),
        "lock": lock,
    }
    beside = os.path.join(folder, f".{number}.{os.getpid()}")
    with open(beside, "w") as file:
        json.dump(entry, file)
    os.rename(beside, os.path.join(folder, f"{number:05}.json"))


def has_any(envs: str, name: str) -> bool:
    """Whether anything was ever kept of this environment."""
    return bool(_numbers(os.path.join(envs, ".history", name)))


def entries(envs: str, name: str) -> list[dict[str, Any]]:
    """The last entries, newest first, without their locks."""
    folder = os.path.join(envs, ".history", name)
    found = (_read(folder, number) for number in reversed(_numbers(folder)[-_SHOWN:]))
    return [{key: value for key, value in entry.items() if key != "lock"} for entry in found]


def lock(envs: str, name: str, number: int) -> list[str]:
    """What was installed then. Refused when that is not known."""
    folder = os.path.join(envs, ".history", name)
    if number not in _numbers(folder):
        raise Refused(f"The history of {name} has no number {number}.")
    return list(_read(folder, number)["lock"])


def differences(before: list[str], after: list[str]) -> list[list[str]]:
    """Name, version before, version after of every package that is not the same; empty where there was none."""
    old, new = dict(map(_split, before)), dict(map(_split, after))
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return [[name, old.get(name, ""), new.get(name, "")] for name in names]


def _said(found: list[list[str]]) -> list[str]:
    said = []
    for name, old, new in found:
        if not old:
            said.append(f"+ {name} {new}")
        elif not new:
            said.append(f"− {name} {old}")
        else:
            said.append(f"{name} {old} → {new}")
    return said


def _split(line: str) -> tuple[str, str]:
    found = _URL.fullmatch(line) or _PIN.fullmatch(line.removeprefix("pypi: "))
    return (found["name"], found["version"]) if found else (line, "there")


def _numbers(folder: str) -> list[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(int(name[:-5]) for name in names if re.fullmatch(r"\d{5}\.json", name))


def _read(folder: str, number: int) -> dict[str, Any]:
    """An entry; what somebody broke by hand is shown as empty."""
    plain: dict[str, Any] = {
        "number": number, "at": 0, "user": "", "act": "", "detail": "", "changes": [], "packages": 0, "lock": []
    }  # fmt: skip
    try:
        with open(os.path.join(folder, f"{number:05}.json")) as file:
            told = json.load(file)
        return {key: told[key] if isinstance(told[key], type(value)) else value for key, value in plain.items()}
    except (ValueError, KeyError, TypeError, OSError):
        return plain
