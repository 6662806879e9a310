"""Checks: every input of the privileged launcher, judged as if it were hostile. Standard library only."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from aen import names, sshkeys
from aen.errors import Invalid
from aen.launchers import AppSpec, Policy, Process, ProjectRef, RightsWish

ROLES = ("viewer", "member", "maintainer", "owner")
LIMITS = ("memory_bytes", "processes", "files", "cpu_millis")
_SESSION = re.compile(r"[a-z2-7]{16}")
_INCARNATION = re.compile(r"[A-Za-z0-9_-]{0,64}")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_HEX = re.compile(r"[0-9a-f-]{1,64}")
_LONGEST_PATH = 4000
_LONGEST_PASSWORD = 1024  # bytes
_PAM_SERVICE = re.compile(r"([a-z][a-z0-9._-]{0,63})?")
_MOST_PEOPLE = 2000  # in one team; by name (acl.subject: users) 200, which project_files.py sees to
_LONGEST_NAME = 255  # bytes
_RIGHTS = re.compile(r"r?w?x?")
_LARGEST_EXEC = 128 * 1024  # bytes of arguments and environment


def user(value: Any) -> str:
    """A person's name, which is the name of the account too."""
    return names.user(_text(value, "a user name"))


def incarnation(value: Any) -> str:
    """What tells people of one name apart; empty: not told."""
    text = _text(value if value is not None else "", "an incarnation")
    if not _INCARNATION.fullmatch(text):
        raise Invalid("That tells no people apart.")
    return text


def project_name(value: Any) -> str:
    """A project's name."""
    return names.project(_text(value, "a project name"))


def environment_name(value: Any) -> str:
    """An environment's name."""
    return names.environment(_text(value, "an environment name"))


def session(value: Any) -> str:
    """A session's id."""
    text = _text(value, "a session id")
    if not _SESSION.fullmatch(text):
        raise Invalid("That is not a session id.")
    return text


def number(value: Any, least: int, most: int, what: str) -> int:
    """A whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid(f"{what} must be a whole number from {least} to {most}.")
    return value


def seconds(value: Any) -> float:
    """A time to wait: 0 to 600 seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Invalid("A time must be a number of seconds.")
    return min(max(float(value), 0.0), 600.0)


def absolute(value: Any, what: str) -> str:
    """An absolute path in its plain form: no `..`, no `.`, no doubled slashes, no NUL."""
    text = _text(value, what)
    if not text.startswith("/") or len(text) > _LONGEST_PATH or os.path.normpath(text) != text or text.startswith("//"):
        raise Invalid(f"{what} must be an absolute path without '..'.")
    return text


def is_below(path: str, top: str) -> bool:
    """Whether `path` is `top` or in it, by name alone."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def project(value: Any) -> ProjectRef:
    """A project with its team."""
    data = _mapping(value, "A project", {"owner", "name", "team", "former"})
    team = _mapping(data.get("team", {}), "A team")
    former = _list(data.get("former", []), "The ex-members", 10 * _MOST_PEOPLE)
    if len(team) > _MOST_PEOPLE:
        raise Invalid(f"A team has at most {_MOST_PEOPLE} people: make it smaller.")
    if any(role not in ROLES for role in team.values()):
        raise Invalid("A role is viewer, member, maintainer or owner.")
    return ProjectRef(
        user(data.get("owner")),
        project_name(data.get("name")),
        {user(name): role for name, role in team.items()},
        tuple(user(name) for name in former),
    )


def inside(value: Any) -> list[str]:
    """A path below a project's directory, percent-encoded (names need not be UTF-8), as its parts; never the top."""
    parts = [unquote_to_bytes(part) for part in _text(value, "a path").split("/")]
    if sum(map(len, parts)) > _LONGEST_PATH or len(parts) > 200:
        raise Invalid("That path is too long.")
    if any(part in (b"", b".", b"..") or b"/" in part or b"\0" in part or len(part) > _LONGEST_NAME for part in parts):
        raise Invalid("A path names something in the project, without '..', and no slash at its ends.")
    return [os.fsdecode(part) for part in parts]


def rights_wish(message: Mapping[str, Any]) -> RightsWish | None:
    """What people are to have on something, in a request; None: it only asks."""
    if message.get("rights") is None:
        return None
    data = _mapping(message["rights"], "The rights")
    if len(data) > _MOST_PEOPLE or not all(isinstance(each, str) and _RIGHTS.fullmatch(each) for each in data.values()):
        raise Invalid("Rights are told by person, as letters of rwx.")
    only = message.get("only")
    return RightsWish(
        {user(name): str(letters) for name, letters in data.items()},
        closed=message.get("closed") is True,
        contents=message.get("contents") is True,
        dry=message.get("dry") is True,
        only=user(only) if only is not None else None,
    )


def ssh_keys(value: Any) -> list[str]:
    """SSH public keys, each as it stands in authorized_keys: kind and body alone."""
    lines = [_text(line, "an SSH key") for line in _list(value, "SSH keys", sshkeys.MOST)]
    if any(sshkeys.parse(line).line != line for line in lines):
        raise Invalid("An SSH key is its kind and its body, nothing else.")
    return lines


def password(value: Any) -> str:
    """A password to be checked; what it is stands in no error."""
    text = _text(value, "a password")
    if not text or len(text.encode()) > _LONGEST_PASSWORD:
        raise Invalid("That password is empty or too long.")
    return text


def process(value: Any) -> Process:
    """A process as it was given out earlier; it only serves to be compared."""
    data = _mapping(value, "A process", {"session", "generation", "pid", "start_time", "boot_id", "uid"})
    boot = _text(data.get("boot_id"), "a boot id")
    if not _HEX.fullmatch(boot):
        raise Invalid("That is not a boot id.")
    return Process(
        session(data.get("session")),
        number(data.get("generation"), 0, 2**53, "A generation"),
        number(data.get("pid"), 2, 2**22, "A pid"),
        number(data.get("start_time"), 0, 2**63, "A start time"),
        boot,
        number(data.get("uid"), 0, 2**32 - 2, "A uid"),
    )


_SPEC = frozenset(AppSpec.__dataclass_fields__)


def spec(value: Any) -> AppSpec:
    """An app to start, as far as it can be judged without looking at accounts and disks."""
    data = _mapping(value, "An app", _SPEC)
    argv = tuple(_text(part, "an argument") for part in _list(data.get("argv"), "The arguments", 1000))
    environ = _environ(data.get("environ"))
    if not argv:
        raise Invalid("There is no program to start.")
    absolute(argv[0], "The program")
    size = sum(len(part) for part in argv) + sum(len(key) + len(text) for key, text in environ.items())
    if size > _LARGEST_EXEC:
        raise Invalid("Arguments and environment are too long.")
    return AppSpec(
        session=session(data.get("session")),
        generation=number(data.get("generation"), 0, 2**53, "A generation"),
        user=user(data.get("user")),
        owner=user(data.get("owner")),
        project=project_name(data.get("project")),
        argv=argv,
        environ=environ,
        cwd=absolute(data.get("cwd"), "The working directory"),
        socket=absolute(data["socket"], "The socket") if data.get("socket", "") != "" else "",
        limits=_limits(data.get("limits", {})),
    )


def app_socket(path: str, policy: Policy, session_id: str) -> None:
    """A socket lies directly in a run directory of its own session."""
    folder, _, name = path.rpartition("/")
    parent, _, short = folder.rpartition("/")
    if parent != policy.run_dir.rstrip("/") or not short.startswith(session_id[:12] + "-") or not name:
        raise Invalid("An app's socket lies in the run directory that was made for its session.")


def skeleton(value: Any, policy: Policy) -> str:
    """A directory that new projects may be copied from."""
    path = absolute(value, "The skeleton")
    if path not in {os.path.normpath(known) for known in policy.skeletons}:
        raise Invalid("That directory is not one of the skeletons that this node may copy projects from.")
    return path


def environment_source(value: Any, policy: Policy) -> list[str]:
    """A root environment, as the parts of its path below envs_dir."""
    path = absolute(value, "The environment's source")
    top = policy.envs_dir.rstrip("/")
    if path == top or not is_below(path, top):
        raise Invalid("Environments are cloned from root environments only.")
    return path[len(top) + 1 :].split("/")


def policy(value: Any) -> Policy:
    """The launcher's own rules. They come from our own parent; checked so that a mistake is told, not obeyed."""
    data = _mapping(value, "A policy", frozenset(Policy.__dataclass_fields__))
    try:
        made = Policy(**{**data, "skeletons": tuple(data.get("skeletons") or ())})
    except TypeError as error:
        raise Invalid(f"The launcher's policy is incomplete: {error}.") from None
    if made.mode not in ("managed", "existing", "single"):
        raise Invalid("accounts.mode must be managed, existing or single.")
    if made.acl_subject not in ("users", "group"):
        raise Invalid("acl.subject must be users or group.")
    if not isinstance(made.pam_service, str) or not _PAM_SERVICE.fullmatch(made.pam_service):
        raise Invalid("accounts.pam_service is the name of a file in /etc/pam.d.")
    places: dict[str, str] = {
        "compute.project_root": made.project_root,
        "run_dir": made.run_dir,
        "envs_dir": made.envs_dir,
        "state_dir": made.state_dir,
        "log_dir": made.log_dir,
        "accounts.shell": made.shell,
    }
    for option, path in places.items():
        absolute(path, option)
    number(made.service_uid, 0, 2**32 - 2, "The service account's uid")
    number(made.service_gid, 0, 2**32 - 2, "The service account's gid")
    number(made.first_uid, 1000, 2**31, "accounts.first_uid")
    number(made.log_bytes, 4096, 2**50, "compute.app_log in bytes")
    return made


def _environ(value: Any) -> dict[str, str]:
    data = _mapping(value, "The environment")
    for key in data:
        if not _KEY.fullmatch(key):
            raise Invalid("A name in the environment has letters, digits and _ only.")
    return {key: _text(text, "a value in the environment") for key, text in data.items()}


def _limits(value: Any) -> dict[str, int]:
    data = _mapping(value, "Limits", frozenset(LIMITS))
    return {key: number(most, 1, 2**53, f"The limit {key}") for key, most in data.items()}


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"Expected {what} as text.")
    if "\0" in value:
        raise Invalid(f"There is a NUL character in {what}.")
    try:
        value.encode()
    except UnicodeEncodeError:  # lone surrogates, which JSON can carry
        raise Invalid(f"There are characters in {what} that can't be written as UTF-8.") from None
    return value


def _list(value: Any, what: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise Invalid(f"{what} must be a list of at most {most}.")
    return value


def _mapping(value: Any, what: str, keys: set[str] | frozenset[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, Mapping) or (keys is not None and not set(value) <= keys):
        raise Invalid(f"{what} is not well formed.")
    return dict(value)
