"""The layers of the design hold: process → roles → tools → words; and no file or function grows without an excuse."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "aen").rglob("*.py"))

PROCESS = {
    "cli",
    "node",
    "ground",
    "listeners",
    "places",
    "operations",
    "privileges",
    "__main__",
    "founding",
    "belonging",
    "doctor",
    "units",
}
TOOLS = {
    "proxy",
    "acl",
    "bus",
    "store",
    "logins",
    "launchers",
    "environments",
    "contents",
    "errands",
    "apps",
    "web",
    "tickets",
    "certificates",
    "mail",
    "ca",
    "credentials",
    "placements",
    "reaching",
    "client",
}
WORDS = {
    "config",
    "messages",
    "model",
    "service",
    "plugins",
    "names",
    "doorkeeper",
    "errors",
    "faults",
    "languages",
    "links",
    "log",
    "sshkeys",
    "nkeys",
    "halves",
}
RANK = dict.fromkeys(PROCESS, 3) | {"roles": 2} | dict.fromkeys(TOOLS, 1) | dict.fromkeys(WORDS, 0)

#: The one exception: the launcher's privileged side is one program of stdlib and pylibacl, and walks and clones itself.
PRIVILEGED = {
    f"aen/launchers/{name}.py" for name in ("privileged", "preparation", "project_files", "path_rights", "tagging")
}

#: Third-party modules that one file may import.
ONLY = {
    "ldap3": "aen/logins/ldap_link.py",
    "motor": "aen/store/mongo.py",
    "pymongo": "aen/store/mongo*.py",
    "bson": "aen/store/mongo*.py",
    "nats": "aen/bus/link.py",
    "aiosmtplib": "aen/mail.py",
    "posix1e": "aen/acl/posix.py",
}

#: Longer than 300 lines (the hard limit is 400), or functions over 40 lines (60): name → why.
LONG_FILES: dict[str, str] = {
    "aen/launchers/running.py": "an app's life from start to adoption to end, over one record",
    "aen/launchers/privileged.py": "the one table of verbs, each with what it may be asked",
}
#: Made by `./dev client` from the API's description: nobody reads these from top to bottom.
MADE = {f"aen/client/{name}.py" for name in ("models", "calls", "async_calls")}
LONG_FUNCTIONS: dict[str, str] = {}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _part(path: Path) -> str:
    parts = path.relative_to(ROOT / "aen").with_suffix("").parts
    return parts[0]


def _imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too; what only types need is left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # What is copied into the environment of the apps has another name there.
            assert node.level == 0 or "user_side" in path.parts, f"{path}: relative import"
            module = node.module or ""
            yield from (
                (f"{module}.{alias.name}" for alias in node.names) if module in ("aen", "aen.roles") else (module,)
            )


def test_each_part_has_a_layer() -> None:
    assert {_part(path) for path in FILES} - {"__init__"} == set(RANK)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_go_down(path: Path) -> None:
    mine = _part(path)
    for module in _imports(path):
        first, _, rest = module.partition(".")
        only = ONLY.get(first)
        assert only is None or fnmatch(_name(path), only), f"only {only} may import {first}"
        theirs = rest.split(".")[0] if first == "aen" else ""
        if theirs not in RANK or theirs == mine or mine == "__init__":
            continue
        if _name(path) in PRIVILEGED and (theirs == "acl" or module == "aen.environments.clone"):
            continue
        # Words and process may use their like; roles and tools never do.
        fine = RANK[theirs] < RANK[mine] or (RANK[theirs] == RANK[mine] and RANK[mine] in (0, 3))
        assert fine, f"{_name(path)} ({mine}) may not import {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "aen/roles").glob("*/**/*.py")), ids=_name)
def test_roles_never_import_each_other(path: Path) -> None:
    role = path.relative_to(ROOT / "aen/roles").parts[0]
    for module in _imports(path):
        if module.startswith("aen.roles."):
            theirs = module.split(".")[2]
            assert theirs == role or not (ROOT / "aen/roles" / theirs).is_dir(), f"{_name(path)} imports {module}"
        if module.split(".")[:2] == ["aen", "store"]:
            assert role == "server", "only the server imports the store"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_sizes(path: Path) -> None:
    text = path.read_text()
    if _name(path) in MADE:
        return
    lines = len(text.splitlines())
    assert lines <= 300 or (lines <= 400 and _name(path) in LONG_FILES), f"{lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            where = f"{_name(path)}:{node.name}"
            assert length <= 40 or (length <= 60 and where in LONG_FUNCTIONS), f"{where}: {length} lines"


def test_exceptions_are_still_needed() -> None:
    for name in LONG_FILES:
        assert len((ROOT / name).read_text().splitlines()) > 300, name


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_first_line_says_what_the_file_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "a file begins by saying what it is"
