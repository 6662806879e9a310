"""The options as a flat list: path, type, default, help. Made from the model, so nothing is written twice."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from aen.config.model import Config

MISSING = object()  # `Option.default` of an option that has to be given


@dataclass(frozen=True)
class Option:
    """One option. `path` is dotted, `<name>` standing for a key that the administrator chooses."""

    path: str
    annotation: Any
    default: Any
    help: str

    @property
    def secret(self) -> bool:
        """Whether its value is never shown."""
        return self.annotation is SecretStr

    @property
    def live(self) -> bool:
        """Whether SIGHUP applies a new value without a restart."""
        return "[live]" in self.help

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "AEN_" + self.path.upper().replace(".", "__")


def sections(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Path and meaning of every part of the configuration, `Config` itself left out."""
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            yield prefix + name, (inner.__doc__ or "").split("\n")[0]
            yield from sections(inner, f"{prefix}{name}.")


def options(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[Option]:
    """Every option, in the order of the model."""
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            yield from options(inner, f"{prefix}{name}.")
            continue
        default = MISSING if field.default is PydanticUndefined else field.default
        yield Option(prefix + name, field.annotation, default, field.description or "")
        named = value_section(field.annotation)
        if named is not None:
            yield from options(named, f"{prefix}{name}.<name>.")


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation is, if it is one."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def value_section(annotation: Any) -> type[BaseModel] | None:
    """The section of each value, if the annotation is a mapping of sections (as `apps`)."""
    if typing.get_origin(annotation) is not dict:
        return None
    return section_of(typing.get_args(annotation)[1])


@dataclass(frozen=True)
class Place:
    """Where a way through the model ends: the last section it reached, and what it names there."""

    section: type[BaseModel]
    annotation: Any  # of the option; None: no such option
    unknown: str = ""  # the first word that the section doesn't know


def place(way: Sequence[str | int]) -> Place:
    """Follow `way` ("apps", "shiny", "command") through the model as far as it leads."""
    section: type[BaseModel] = Config
    annotation: Any = Config
    words = [str(word) for word in way]
    while words:
        field = section.model_fields.get(words[0])
        if field is None:
            return Place(section, None, words[0])
        annotation = field.annotation
        named = value_section(annotation) if len(words) > 1 else None
        words = words[2:] if named is not None else words[1:]
        inner = named or section_of(annotation)
        if inner is None:
            break
        section = annotation = inner
    return Place(section, annotation)


def type_name(annotation: Any) -> str:
    """A type in words an administrator reads."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:  # a pattern or bound of the items of a list
        return type_name(arguments[0])
    if origin is typing.Literal:
        return " | ".join(str(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(value) for value in arguments if value is not type(None))
    if origin is list:
        return f"list of {type_name(arguments[0])}"
    if origin is dict:
        return "mapping" if section_of(arguments[1]) is None else "sections by name"
    words = {str: "text", int: "whole number", float: "number", bool: "true | false", Path: "path", SecretStr: "secret"}
    return words.get(annotation, str(annotation))


def plain(value: Any) -> Any:
    """A default as YAML holds it: paths are text, an unset path is empty."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return "" if value == Path() else str(value)
    return value
