"""Reading the configuration: files in order, then the environment; every mistake at once, with file and line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aen.config import checks
from aen.config.model import Config
from aen.config.options import place
from aen.config.source import Key, Source, from_environment, from_file, suggestion
from aen.errors import Invalid

DEFAULT_FILE = Path("/etc/aen/aen.yaml")


class ConfigError(Invalid):
    """The configuration is wrong. `problems` has one sentence for each mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Loaded:
    """A configuration as it was given (blanks are filled by `resolve`), and where each value came from."""

    config: Config
    given: Mapping[str, Any]
    origins: Mapping[Key, str]
    files: tuple[Path, ...]

    def origin(self, path: str) -> str:
        """Where the option at the dotted `path` was set: `file:line`, a variable, or `default`."""
        way: Key = tuple(path.split("."))
        values: Any = self.given
        for part in way:
            if not isinstance(values, dict) or part not in values:
                return "default"  # its section may stand in a file, the option doesn't
            values = values[part]
        return _nearest(self.origins, way) or "default"


def load(files: Sequence[Path], environ: Mapping[str, str]) -> Loaded:
    """Read `files` in order (none: /etc/aen/aen.yaml, if it exists), then `AEN_…` variables; the last that sets an option wins.

    Raises ConfigError with all mistakes. The working directory is never searched.
    """
    chosen = tuple(files) or ((DEFAULT_FILE,) if DEFAULT_FILE.exists() else ())
    sources = [from_file(path) for path in chosen] + [from_environment(environ)]
    values: dict[str, Any] = {}
    origins: dict[Key, str] = {}
    problems: list[str] = []
    for source in sources:
        _merge(values, origins, source)
        problems += source.problems
    config, wrong = _validated(values, origins)
    problems += wrong
    if problems:
        raise ConfigError(problems)
    return Loaded(config, values, origins, chosen)


def _merge(values: dict[str, Any], origins: dict[Key, str], source: Source) -> None:
    _merge_values(values, source.values, (), origins)
    origins.update(source.origins)


def _merge_values(below: dict[str, Any], above: dict[str, Any], way: Key, origins: dict[Key, str]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge_values(below[key], value, (*way, key), origins)
            continue
        below[key] = value
        for old in [old for old in origins if old[: len(way) + 1] == (*way, key)]:
            del origins[old]


def _validated(values: dict[str, Any], origins: Mapping[Key, str]) -> tuple[Config, list[str]]:
    """The configuration, and what is wrong with it. Wrong values are left out, so that the rest is checked too."""
    problems: list[str] = []
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        problems = [_sentence(detail, origins) for detail in details]
        for detail in details:
            _leave_out(values, detail["loc"][:-1] if detail["type"] == "missing" else detail["loc"])
        try:
            config = Config.model_validate(values)
        except ValidationError:  # what is left lacks something that the first pass has named already
            return Config(), problems
    for way, message in checks.problems(config):
        problems.append(f"{_place(origins, way)}{_dotted(way)} {message}.")
    return config, problems


def _leave_out(values: Any, way: Iterable[str | int]) -> None:
    *parents, last = [part for part in way if part != "[key]"]
    for part in parents:
        if not isinstance(values, dict) or part not in values:
            return
        if not isinstance(values[part], dict):  # a wrong item makes the whole list wrong
            del values[part]
            return
        values = values[part]
    if isinstance(values, dict):
        values.pop(last, None)


def _sentence(detail: ErrorDetails, origins: Mapping[Key, str]) -> str:
    way: Key = tuple(detail["loc"])
    start, name = _place(origins, way), _dotted(way)
    if detail["type"] == "extra_forbidden":
        return f"{start}{name}: no such option.{suggestion(str(way[-1]), place(way).section.model_fields)}"
    if detail["type"] == "missing":
        return f"{start}{name} is missing."
    if detail["type"].startswith("path"):
        return f"{start}{name} must be a path, in quotes."
    message = detail["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    given = detail["input"]
    shown = "" if "secret" in name or isinstance(given, dict | list) else f" (it is {given!r})"
    return f"{start}{name} {message}{shown}."


def _place(origins: Mapping[Key, str], way: Key) -> str:
    found = _nearest(origins, way)
    return f"{found}: " if found else ""


def _nearest(origins: Mapping[Key, str], way: Key) -> str:
    for length in range(len(way), 0, -1):
        if way[:length] in origins:
            return origins[way[:length]]
    return ""


def _dotted(way: Key) -> str:
    return ".".join(str(part) for part in way)
