"""Where values come from: YAML files with their line numbers, and environment variables."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from aen.config.model import Config
from aen.config.options import place

Key = tuple[str | int, ...]  # the way to a value: ("server", "tls", "cert")

_DEEPEST = 12  # levels; nothing real is deeper, and a YAML alias may hold itself


@dataclass
class Source:
    """What one file or the environment said. `origins` tells for each key where it stands, as `aen.yaml:12`."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def from_file(path: Path) -> Source:
    """Read one YAML file; what is wrong with it stands in `problems`."""
    source = Source()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        source.problems.append(f"{path}: can't be read: {error.strerror}. Check the path given with -c.")
        return source
    except UnicodeDecodeError:
        source.problems.append(f"{path}: is not UTF-8 text.")
        return source
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        source.problems.append(_broken(path, error))
        return source
    if node is None:
        return source
    if not isinstance(node, yaml.MappingNode):
        source.problems.append(f"{path}:{_line(node)}: must hold `option: value` lines.")
        return source
    source.values = _Reader(path, source).mapping(node, ())
    return source


def from_environment(environ: Mapping[str, str]) -> Source:
    """Read `AEN_SECTION__OPTION` variables. Lists and mappings are written as YAML."""
    source = Source()
    for name in sorted(environ):
        if name.startswith("AEN_"):
            _variable(source, name, environ[name])
    return source


def suggestion(word: str, known: typing.Iterable[str]) -> str:
    """` Did you mean 'x'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


class _Reader:
    """Turns YAML nodes into values, noting where each key stands."""

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self.source = source
        self.scalars = yaml.constructor.SafeConstructor()

    def mapping(self, node: yaml.MappingNode, way: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(key_node, "a key must be a word")
                continue
            key = str(key_node.value)
            if key in found:
                self.problem(key_node, f"{_dotted((*way, key))} is given twice; keep one of the two")
                continue
            self.source.origins[(*way, key)] = f"{self.path}:{_line(key_node)}"
            found[key] = self.value(value_node, (*way, key))
        # A key without a value means "not given": so a section whose options are all comments is fine.
        return {key: value for key, value in found.items() if value is not None}

    def value(self, node: yaml.Node, way: Key) -> Any:
        if len(way) > _DEEPEST:
            self.problem(node, "is nested too deeply")
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, way)
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                self.source.origins[(*way, number)] = f"{self.path}:{_line(item)}"
            return [self.value(item, (*way, number)) for number, item in enumerate(node.value)]
        try:
            return self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.problem(node, f"{_dotted(way)}: can't read this value; put it in quotes")
            return None

    def problem(self, node: yaml.Node, what: str) -> None:
        self.source.problems.append(f"{self.path}:{_line(node)}: {what}.")


def _variable(source: Source, name: str, text: str) -> None:
    way: Key = tuple(name.removeprefix("AEN_").lower().split("__"))
    annotation, unknown = _annotation(way)
    if unknown:
        if unknown != "-":
            source.problems.append(unknown)
        return
    origin = f"environment variable {name}"
    value: Any = text
    if not _is_text(annotation):
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            source.problems.append(f"{origin}: isn't valid YAML, as {_dotted(way)} needs it.")
            return
    section = source.values
    for part in way[:-1]:
        section = section.setdefault(str(part), {})
    section[str(way[-1])] = value
    source.origins[way] = origin


def _annotation(way: Key) -> tuple[Any, str]:
    """The type of an option named by a variable; or why there is none (`-`: not meant for the configuration)."""
    found = place(way)
    if found.annotation is not None:
        return found.annotation, ""
    variable = "AEN_" + "__".join(str(part) for part in way).upper()
    hint = suggestion(found.unknown, found.section.model_fields)
    # Others use AEN_… too (an app's environment, a test's switch): only what looks like an option is an error.
    meant = hint or (len(way) > 1 and str(way[0]) in Config.model_fields)
    return None, f"environment variable {variable}: no such option.{hint}" if meant else "-"


def _is_text(annotation: Any) -> bool:
    if annotation in (str, Path, SecretStr):
        return True
    return Path in typing.get_args(annotation)


def _broken(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", "") or "unexpected characters").replace("\n", " ")
    place = f"{path}:{mark.line + 1}" if mark is not None else str(path)
    return f"{place}: this isn't valid YAML: {problem}."


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _dotted(way: Key) -> str:
    return ".".join(str(part) for part in way)
