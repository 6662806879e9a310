"""OpenAPI: the API's description, made from the URL table and the models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from aen import __version__
from aen.roles.server.pages.api.api import PREFIX, ErrorAnswer
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url

_REF = "#/components/schemas/{model}"
_ERRORS = {
    "400": "Not well formed: see the message.",
    "401": "Nobody is signed in, or the API token is not valid.",
    "403": "Known, and may not do this.",
    "404": "There is no such thing, or you may not see it.",
    "409": "Its state does not allow that now, or somebody was faster.",
    "429": "Too many attempts: wait as Retry-After says.",
    "503": "A part that is needed is not there right now.",
}


def describe(urls: Iterable[Url], server_url: str) -> dict[str, Any]:
    """An OpenAPI 3.1 document of those `urls` that are below /api/v1."""
    ours = [url for url in urls if url.path.startswith(PREFIX)]
    models = _models(ours)
    refs, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    schemas = {model: refs[model, "validation"] for model in models}
    paths: dict[str, dict[str, Any]] = {}
    for url in ours:
        paths.setdefault(url.path, {})[url.method.lower()] = _operation(url, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "AEN", "version": __version__, "description": "Team notebooks on your own machines."},
        "servers": [{"url": server_url}],
        "paths": paths,
        "components": {"schemas": definitions.get("$defs", {}), "securitySchemes": _SCHEMES},
        "security": [{"token": []}, {"login": [], "csrf": []}],
    }


_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token: `aen_…`."},
    "login": {"type": "apiKey", "in": "cookie", "name": "aen-login", "description": "A browser's login."},
    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token", "description": "From GET /api/v1/me."},
}


def _models(urls: Iterable[Url]) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {ErrorAnswer: None}
    for url in urls:
        for model in (url.takes, url.gives):
            if model is not None:
                found[model] = None
    return list(found)


def _operation(url: Url, schemas: dict[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(url),
        "summary": url.summary,
        "description": _needs(url.permission),
        "parameters": [*_path_parameters(url.path), *_query_parameters(url.query)],
        "responses": _responses(url, schemas),
    }
    if url.permission is Permission.ANYBODY:
        operation["security"] = []
    if url.takes is not None:
        content = {"application/json": {"schema": schemas[url.takes]}}
        required = any(field.is_required() for field in url.takes.model_fields.values())
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _operation_id(url: Url) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", url.path.removeprefix(PREFIX).lower()).strip("_")
    return f"{url.method.lower()}_{words}"


def _needs(permission: Permission) -> str:
    return "Anybody may." if permission is Permission.ANYBODY else f"Needs the permission `{permission}`."


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    properties = model.model_json_schema(ref_template=_REF)["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _responses(url: Url, schemas: dict[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done." if url.status == 204 else "The answer."}
    if url.gives is not None:
        good["content"] = {"application/json": {"schema": schemas[url.gives]}}
    bad = {"application/json": {"schema": schemas[ErrorAnswer]}}
    errors = {code: {"description": text, "content": bad} for code, text in _ERRORS.items()}
    return {str(url.status): good, **errors}
