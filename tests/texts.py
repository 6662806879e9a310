"""Texts: everything that people read, found in templates, scripts and Python; `./dev texts` puts it into the catalogs,
and what apps say into the copies that go with them.

A Python message need not be marked where it is an error of ours or a `reason=`, `message=` and the like: it is finished
where it arises and translated where it is shown (`said`). Of an f-string the expressions become `{fields}`.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from aen.languages import USER_SIDE

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ROOT / "config" / "languages"
APPS = "aen/apps/user_side/"  # what runs where AEN is not
WITH_APPS = (APPS, "aen/languages/user_side/")

_CALLS = {"_", "gettext", "ngettext", "N_", "said"}
_ERRORS = {
    "Invalid",
    "NotSignedIn",
    "Denied",
    "NotFound",
    "Conflict",
    "TooMany",
    "Unavailable",
    "TimedOut",
    "Internal",
    "ForeignAccount",
}
#: Which argument the message is: of apps, of what apps raise, of what the gateway's data plane answers.
_PLACES = {"App": 2, "Trouble": 2, "Refused": 1, "reply": 1, "unreachable": 2, "_fail": 1}
#: Arguments and fields whose value is a message for people, put together far from them.
_MESSAGES = {"message", "reason", "problem", "note", "silent", "description", "detail"}
#: Functions and fields that carry finished sentences, by file.
_SPOKEN = {"_say", "tell", "progress", "report", "_tell", "_note", "append"}
#: What only people at a terminal read stays English.
_TERMINAL = (
    "aen/cli/",
    "aen/config/",
    "aen/bus/",
    "aen/store/",
    "aen/ca/",
    "aen/client/",
    "aen/roles/server/openapi.py",
)
_FIELD = re.compile(r"\{(\w*)\}")
_SENTENCE = re.compile(r"[A-Za-z{].* .*|[A-Z][a-z]{2,}", re.DOTALL)
_WHOLE = re.compile(r"[A-Z{].* .* .*\.", re.DOTALL)
_SCRIPT = re.compile(r"""\bsay\(\s*"((?:[^"\\]|\\.)*)\"""")


def texts() -> dict[str, str]:
    """Every text that people read → the file where it stands first."""
    found: dict[str, str] = {}
    for path, text in _all():
        found.setdefault(text, path)
    return found


def of_apps(language: str) -> dict[str, str]:
    """What goes with the apps: what they say, and what that is in the language."""
    said = sorted({text for path, text in _all() if path.startswith(WITH_APPS)})
    known = catalog(language)
    return {text: str(message.string) for text in said if (message := known.get(text)) is not None and message.string}


def copy_for_apps(language: str) -> Path:
    """Where that lies. Apps run from an environment of their own, without AEN and its catalogs."""
    return USER_SIDE / f"{language}.json"


def as_copied(spoken: dict[str, str]) -> str:
    """How it is written down there."""
    return json.dumps(spoken, ensure_ascii=False, indent=0, sort_keys=True) + "\n"


def _all() -> Iterator[tuple[str, str]]:
    for path, text in _found():
        if text.strip() and (path.startswith("templates/") or re.search(r"[A-Za-z]", _FIELD.sub("", text))):
            yield path, text


def _found() -> Iterator[tuple[str, str]]:
    env = Environment(autoescape=True)
    for path in sorted([*(ROOT / "templates").rglob("*.html"), *(ROOT / APPS).rglob("*.html")]):
        name = path.relative_to(ROOT).as_posix()
        for _line, _function, given in extract_from_ast(env.parse(path.read_text()), ("_", "ngettext"), False):
            yield from ((name, text) for text in ((given,) if isinstance(given, str) else given or ()) if text)
    for path in sorted([*(ROOT / "static").glob("*.js"), *(ROOT / APPS).rglob("*.js")]):
        name = path.relative_to(ROOT).as_posix()
        yield from ((name, text) for text in _SCRIPT.findall(path.read_text()))
    for path in sorted((ROOT / "aen").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        yield from ((name, text) for text in _python(name, ast.parse(path.read_text())))


def _python(name: str, tree: ast.Module) -> Iterator[str]:
    terminal = name.startswith(_TERMINAL) or (name.count("/") < 2 and name in _PROCESS)
    for node in ast.walk(tree):
        if not terminal and isinstance(node, ast.Assign | ast.Dict | ast.Return):
            yield from _finished(node)
        if not isinstance(node, ast.Call):
            continue
        called = _called(node)
        if called in _CALLS:
            many = node.args[:2] if called == "ngettext" else node.args[:1]
            yield from (text for arg in many for text in _texts(arg))
        elif terminal:
            continue
        elif called in _ERRORS:
            yield from (text for arg in node.args[:1] for text in _texts(arg))
        elif called in _PLACES:
            at = _PLACES[called]
            yield from (text for arg in node.args[at : at + 1] for text in _texts(arg))
        elif not _logs(node):
            if called in _SPOKEN:
                yield from (text for arg in node.args for text in _texts(arg) if _SENTENCE.fullmatch(text))
            for keyword in node.keywords:
                if keyword.arg in _MESSAGES:
                    yield from (text for text in _texts(keyword.value) if _SENTENCE.fullmatch(text))


def _finished(node: ast.Assign | ast.Dict | ast.Return) -> Iterator[str]:
    """Whole sentences that are put by, or given back, to be shown later."""
    if isinstance(node, ast.Dict):
        named = [value for key, value in zip(node.keys, node.values, strict=True) if _is_message(key)]
    elif isinstance(node, ast.Assign):
        named = [node.value] if any(_is_message(target) for target in node.targets) else []
    else:
        named = [node.value] if node.value is not None else []
    wanted = _WHOLE if isinstance(node, ast.Return) else _SENTENCE
    yield from (text for value in named for text in _texts(value) if wanted.fullmatch(text))


def _is_message(node: ast.expr | None) -> bool:
    name = node.value if isinstance(node, ast.Constant) else node.id if isinstance(node, ast.Name) else ""
    return name in _MESSAGES or name in ("text", "title", "why")


_PROCESS = {
    "aen/node.py",
    "aen/ground.py",
    "aen/listeners.py",
    "aen/places.py",
    "aen/operations.py",
    "aen/privileges.py",
}


def _called(node: ast.Call) -> str:
    function = node.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _logs(node: ast.Call) -> bool:
    function = node.func
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log"


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be: a literal, an f-string, both sides of a condition, of `or`, of `+`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield _with_fields(node)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _texts(value)


def _with_fields(node: ast.JoinedStr) -> str:
    taken: dict[str, str] = {}
    parts = []
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts.append(str(value.value))
        elif isinstance(value, ast.FormattedValue):
            parts.append(f"{{{_field(value.value, taken)}}}")
    return "".join(parts)


def _field(value: ast.expr, taken: dict[str, str]) -> str:
    """A name for what an expression gives: its last word, and a number when that is taken by another."""
    code = ast.unparse(value)
    words = re.findall(r"[a-z_]\w*", code) if not isinstance(value, ast.IfExp) else []
    base = str(words[-1]).strip("_") or "value" if words else "value"
    name, number = base, 1
    while taken.setdefault(name, code) != code or (name in taken and list(taken).count(name) > 1):
        number += 1
        name = f"{base}{number}"
    return name


def fields(text: str) -> list[str]:
    """The fields of a text, sorted."""
    return sorted(set(_FIELD.findall(text)))


def catalog(language: str) -> Catalog:
    """What stands in the language's catalog now."""
    with (LANGUAGES / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def update(language: str) -> tuple[int, list[str]]:
    """Bring the catalog up to date: (how many texts, those without a translation). Translations that are there stay."""
    old = catalog(language)
    new = Catalog(locale=language, header_comment=old.header_comment, fuzzy=False)
    missing = []
    for text, path in texts().items():
        known = old.get(text)
        translated = str(known.string) if known is not None and known.string else ""
        new.add(text, translated, locations=[(path, 0)])
        if not translated:
            missing.append(text)
    head = "\n".join(["# German. AEN says du to people.", 'msgid ""', 'msgstr ""', *_HEAD, ""])
    with (LANGUAGES / f"{language}.po").open("wb") as file:
        file.write(head.encode())
        write_po(file, new, width=0, omit_header=True, include_lineno=False, sort_by_file=True)
    return len(new), missing


_HEAD = [
    '"Language: de\\n"',
    '"MIME-Version: 1.0\\n"',
    '"Content-Type: text/plain; charset=UTF-8\\n"',
    '"Content-Transfer-Encoding: 8bit\\n"',
    '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"',
]


if __name__ == "__main__":
    for path in sorted(LANGUAGES.glob("*.po")):
        count, missing = update(path.stem)
        copy_for_apps(path.stem).write_text(as_copied(of_apps(path.stem)))
        print(f"{path.relative_to(ROOT)}: {count} texts, {len(missing)} without a translation")
        for text in missing[:20]:
            print(f"  {text}")
    sys.exit(0)
