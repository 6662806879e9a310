"""Client maker: writes aen/client/models.py, calls.py and async_calls.py from the API's own description (`./dev client`)."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aen.roles.server.openapi import describe
from aen.roles.server.urls import table

HERE = Path(__file__).resolve().parents[1] / "aen" / "client"
_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
#: What is no plain question and answer: streams, uploads, the description itself.
_LEFT_OUT = re.compile(r"_events$|^post_imports$|^get_openapi_json$|^post_join$")


def files() -> dict[str, str]:
    """File name → what it should hold."""
    document = describe(table(), "http://localhost")
    schemas = document["components"]["schemas"]
    operations = sorted(_operations(document), key=lambda each: str(each["operationId"]))
    return {
        "models.py": _models(schemas),
        "calls.py": _calls(operations, schemas, waits=False),
        "async_calls.py": _calls(operations, schemas, waits=True),
    }


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = [
        {**operation, "path": path, "method": method.upper()}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return [each for each in found if not _LEFT_OUT.search(each["operationId"])]


def class_name(name: str) -> str:
    """PageOf_ProjectView_ → PageOfProjectView; of two that are called alike also the module: EnvironmentsChosen."""
    if "__" in name.strip("_"):
        *_rest, module, name = name.split("__")
        name = module.removeprefix("api_").title() + name
    return re.sub(r"[^A-Za-z0-9]", "", name)


def annotation(schema: dict[str, Any]) -> str:
    """The Python type of a JSON schema."""
    if "$ref" in schema:
        return class_name(schema["$ref"].rsplit("/", 1)[-1])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return f"Literal[{', '.join(map(repr, values))}]"
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(annotation(each) for each in schema["anyOf"]))
    kind = schema.get("type")
    if kind == "array":
        return f"list[{annotation(schema.get('items', {}))}]"
    if kind == "object":
        more = schema.get("additionalProperties")
        return f"dict[str, {annotation(more) if isinstance(more, dict) else 'Any'}]"
    return _SIMPLE.get(str(kind), "Any")


def _models(schemas: dict[str, Any]) -> str:
    aliases, classes = [], []
    for name, schema in sorted(schemas.items()):
        if "properties" not in schema and schema.get("type") != "object":
            aliases.append(f"type_{class_name(name)} = {annotation(schema)}".removeprefix("type_"))
        else:
            classes.append(_model(name, schema))
    head = '''"""Models: what the API takes and gives. Made by `./dev client` from the OpenAPI description: change that, not this."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Told(BaseModel):
    """A value of the API; what a newer server tells besides is left out."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)
'''
    return head + "\n\n" + "\n".join(aliases) + "\n\n\n" + "\n\n".join(classes)


def _model(name: str, schema: dict[str, Any]) -> str:
    about = " ".join(str(schema.get("description", "")).split()).replace("\\", "")
    lines = [f"class {class_name(name)}(Told):", f'    """{_first(about) or name + "."}"""', ""]
    required = schema.get("required", [])
    for key, each in schema.get("properties", {}).items():
        python = f"{key}_" if hasattr(BaseModel, key) or keyword.iskeyword(key) else key
        default = _default(each, key in required, key if python != key else "")
        lines.append(f"    {python}: {annotation(each)}{default}")
    return "\n".join([*lines, ""])


def _default(schema: dict[str, Any], required: bool, alias: str) -> str:
    said = [f"alias={alias!r}"] if alias else []
    kind = annotation(schema)
    if not required:
        value = schema.get("default")
        if kind.startswith(("list[", "dict[")):
            empty = kind.partition("[")[0]
            said.append(f"default_factory={empty}" if not value else f"default_factory=lambda: {value!r}")
        elif isinstance(value, list | dict):  # a model of its own: left out means as the server has it
            return " | None = None"
        elif alias:
            said.append(f"default={value!r}")
        else:
            return f" = {value!r}" if value is not None or "None" in kind or kind == "Any" else " | None = None"
    return f" = Field({', '.join(said)})" if said else ""


def _first(about: str) -> str:
    """The first sentence, if it fits a line."""
    sentence = about.split(". ")[0].rstrip(".") + "." if about else ""
    return sentence if len(sentence) <= 100 else ""


def _calls(operations: list[dict[str, Any]], schemas: dict[str, Any], *, waits: bool) -> str:
    name = "AsyncCalls" if waits else "Calls"
    methods = [_method(operation, waits=waits) for operation in operations]
    used = sorted(
        {word for method in methods for word in re.findall(r"\b[A-Z]\w+", method)} & set(map(class_name, schemas))
    )
    kind = "awaited" if waits else "waited for"
    return "\n".join(
        [
            f'"""Calls: every question to the API as a method, {kind}. Made by `./dev client`, as models.py."""',
            "",
            "from __future__ import annotations",
            "",
            f"from typing import {'Any, Literal' if any('Literal' in m for m in methods) else 'Any'}",
            "",
            "from aen.client.models import (",
            *[f"    {each}," for each in used],
            ")",
            "",
            "",
            f"class {name}:",
            '    """The API. Raises the AenErrors that the server answers with."""',
            "",
            f"    {'async ' if waits else ''}def _call(self, method: str, parts: tuple[str, ...], gives: Any = None, "
            "*, body: object = None, query: dict[str, Any] | None = None) -> Any:",
            "        raise NotImplementedError",
            "",
            "\n".join(methods),
        ]
    )


def _method(operation: dict[str, Any], *, waits: bool) -> str:
    path = [part for part in operation["path"].removeprefix("/api/v1").split("/") if part]
    names = [part[1:-1] for part in path if part.startswith("{")]
    asked = [each for each in operation["parameters"] if each["in"] == "query"]
    body = operation.get("requestBody")
    takes = annotation(body["content"]["application/json"]["schema"]) if body else ""
    gives = _gives(operation)
    arguments = ["self", *[f"{name}: str" for name in names]]
    if takes:
        arguments.append(f"body: {takes}" + ("" if body and body.get("required") else " | None = None"))
    if asked:
        arguments.append("*")
        arguments += [f"{_name(each)}: {_optional(annotation(each['schema']))} = None" for each in asked]
    given = ", body=body" if takes else ""
    if asked:
        given += ", query={" + ", ".join(f"{each['name']!r}: {_name(each)}" for each in asked) + "}"
    parts = "".join(f"{part[1:-1]}, " if part.startswith("{") else f'"{part}", ' for part in path)
    kind = {"": "None", "bytes": "bytes"}.get(gives, gives)
    call = f'{"await " if waits else ""}self._call("{operation["method"]}", ({parts}), {gives or "None"}{given})'
    body_line = f"        {call}" if kind == "None" else f"        found: {kind} = {call}\n        return found"
    return "\n".join(
        [
            f"    {'async ' if waits else ''}def {operation['operationId']}({', '.join(arguments)}) -> {kind}:",
            f'        """{operation["summary"] or operation["operationId"]}."""',
            body_line,
            "",
        ]
    )


def _gives(operation: dict[str, Any]) -> str:
    code, answer = next((code, answer) for code, answer in operation["responses"].items() if code.startswith("2"))
    if "content" in answer:
        return annotation(answer["content"]["application/json"]["schema"])
    return "" if code == "204" else "bytes"


def _name(parameter: dict[str, Any]) -> str:
    name = str(parameter["name"])
    return f"{name}_" if keyword.iskeyword(name) else name


def _optional(kind: str) -> str:
    return kind if "None" in kind.split(" | ") else f"{kind} | None"


def formatted(text: str, name: str) -> str:
    """As ruff writes it."""
    import subprocess
    import sys

    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--fix-only", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        done = subprocess.run(
            [*ruff, *command, "--stdin-filename", str(HERE / name), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(formatted(text, name))
