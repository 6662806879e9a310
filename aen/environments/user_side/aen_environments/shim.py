"""`conda` as people type it in a terminal of AEN: the usual words, always for the project's own environments."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from aen_environments import Refused, changing, showing
from aen_environments.folder import DEFAULT, Folder

_ABOUT = "conda for the environments of an AEN project. The root environment is not changed by it."


def main() -> int:
    """Exit code 0, or 1 with the reason on standard error."""
    parser = _parser()
    given = parser.parse_args()
    if not hasattr(given, "do"):
        parser.print_help()
        return 1
    try:
        given.do(given, _told())
    except (Refused, OSError) as error:
        print(f"conda: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("conda", description=_ABOUT)
    verbs = parser.add_subparsers(title="commands")
    for names, do, what in (
        (("install", "update"), _install, "install packages"),
        (("remove", "uninstall"), _remove, "remove packages"),
        (("create",), _create, "make an environment in the project's envs"),
    ):
        verb = verbs.add_parser(names[0], aliases=names[1:], help=what)
        verb.add_argument("packages", nargs="*")
        verb.add_argument("-n", "--name", default="")
        verb.add_argument("--clone", default="", help=argparse.SUPPRESS)
        for flag in ("-y", "--yes", "-q", "--quiet"):
            verb.add_argument(flag, action="store_true", help=argparse.SUPPRESS)
        verb.set_defaults(do=do)
    shown = verbs.add_parser("list", help="the packages of an environment")
    shown.add_argument("-n", "--name", default="")
    shown.set_defaults(do=_list)
    env = verbs.add_parser("env", help="environments: list, export").add_subparsers(required=True)
    env.add_parser("list").set_defaults(do=_environments)
    export = env.add_parser("export")
    export.add_argument("-n", "--name", default="")
    export.set_defaults(do=_export)
    return parser


def _told() -> dict[str, Any]:
    """Project, person and channels, as the terminal and the environment of the apps know them."""
    with open(os.path.join(sys.prefix, "tools", "conda.json")) as file:
        tool = json.load(file)
    return {"project": os.environ["AEN_PROJECT_DIR"], "user": os.environ.get("AEN_USER", ""), "tool": tool}


def _active() -> str:
    return os.path.basename(os.path.dirname(os.environ.get("AEN_PROJECT_BIN", f"{DEFAULT}/bin")))


def _change(told: dict[str, Any], **wish: Any) -> None:
    changing.change({**told, "change": wish})


def _install(given: argparse.Namespace, told: dict[str, Any]) -> None:
    if not given.packages:
        raise Refused("Say which packages.")
    _change(told, act="install", name=given.name or _active(), packages=given.packages)


def _remove(given: argparse.Namespace, told: dict[str, Any]) -> None:
    if not given.packages:
        raise Refused("Say which packages. Whole environments are removed on the page Environments of the project.")
    _change(told, act="uninstall", name=given.name or _active(), packages=given.packages)


def _create(given: argparse.Namespace, told: dict[str, Any]) -> None:
    if not given.name:
        raise Refused("Say what it is to be called: conda create -n NAME [PACKAGES].")
    if given.clone:
        _change(told, act="clone", name=given.name, source=given.clone)
    else:
        _change(told, act="create", name=given.name, packages=given.packages)
    print(f"Made {given.name}. It is a kernel in notebooks; `{_path(told, given.name)}/bin` holds its programs.")


def _list(given: argparse.Namespace, told: dict[str, Any]) -> None:
    name = given.name or _active()
    print(f"# packages in environment at {_path(told, name)}:")
    for package, version, build in showing.packages(_path(told, name)):
        print(f"{package:<25} {version:<15} {build or 'pypi'}")


def _environments(given: argparse.Namespace, told: dict[str, Any]) -> None:
    for name in Folder(told["project"]).names():
        print(f"{name:<20} {'*' if name == _active() else ' '} {_path(told, name)}")


def _export(given: argparse.Namespace, told: dict[str, Any]) -> None:
    print(showing.one({**told, "name": given.name or _active()})["yml"], end="")


def _path(told: dict[str, Any], name: str) -> str:
    return Folder(told["project"]).at(name)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # threads of py-rattler have crashed an interpreter that ended by itself
