"""Git, so that a repository can't act: settings of our own only, none of its hooks, filters, programs, or links.

What lies in `.git` may have been written by anybody of the team. So git never sees it as its directory: a private one,
made for each errand, holds a configuration of ours, a copy of HEAD and of the index, and links to objects and refs.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from aen_errands import Refused, Told, ended, places

_LARGEST = 24 << 20  # bytes of git's answer
_SECONDS = 40.0
_LARGEST_INDEX = 256 << 20
_LINKED = ("objects", "refs", "packed-refs", "shallow")
_HEAD = re.compile(rb"ref: refs/heads/[^\s\x00-\x1f~^:?*\[\\]{1,200}\n?|[0-9a-f]{40}\n?|[0-9a-f]{64}\n?")
_KEPT = re.compile(r"(remote\.[\w.-]{1,80}\.(url|fetch)|branch\.[^\n]{1,200}\.(remote|merge)|core\.(bare|filemode))\Z")
_URL = re.compile(r"(https?://[^\s/@-][^\s@]*|ssh://([\w.-]+@)?[\w\[][^\s]*|[\w.]+@\w[\w.-]*:[^\s-][^\s]*)\Z")
_REVISION = re.compile(r"[0-9a-f]{7,64}\Z")


class Failed(Refused):
    """Git said no. `said` is what it said."""

    def __init__(self, said: str) -> None:
        self.said = said
        lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("hint:")]
        super().__init__(f"Git could not do that: {' '.join(lines[-6:])[:1200] or 'it gave no reason'}")


def url(text: str) -> str:
    """An address that can be cloned from. Refused: local files, programs, options, passwords in it."""
    if len(text) > 1000 or not _URL.match(text):
        raise Refused(
            "That is no address to clone from: https://host/path, ssh://user@host/path or user@host:path "
            "(without a password in it)."
        )
    return text


def revision(text: str) -> str:
    """A revision's id. Refused when it could be anything else."""
    if text != "HEAD" and not _REVISION.match(text):
        raise Refused(f"{text[:80]!r} is no revision's id.")
    return text


class Repository:
    """One repository of a project, as git is let see it. Made by `opened`."""

    def __init__(self, told: Told, place: str, private: str) -> None:
        self.told, self.place, self.private = told, place, private
        self.top = not str(told.get("folder", "")).strip("/")
        self.settings: list[tuple[str, str]] = []

    def git(self, *arguments: str, feed: bytes = b"", seconds: float = _SECONDS, most: int = _LARGEST) -> bytes:
        """What git answers. Raises Failed with what it said."""
        with tempfile.TemporaryFile() as complaints:
            process = self._start(arguments, complaints.fileno())
            data = ended.answer(process, feed, seconds, most)
            complaints.seek(0)
            said = complaints.read(20_000).decode(errors="replace")
        if process.returncode:
            raise Failed(said)
        return data

    def text(self, *arguments: str) -> str:
        """The same as a line of text; empty when git says no."""
        try:
            return self.git(*arguments).decode(errors="replace").strip()
        except Failed:
            return ""

    def talk(self, *arguments: str, seconds: float = 3000.0) -> None:
        """With a remote: what git says goes to our log, where people follow it. Raises Refused."""
        process = self._start(arguments, None)
        ended.answer(process, b"", seconds, _LARGEST)
        if process.returncode:
            raise Refused("The other side could not be reached, or refused. What git said stands above.")

    def _start(self, arguments: Sequence[str], complaints: int | None) -> subprocess.Popen[bytes]:
        command = ["git", "--no-pager", "--no-replace-objects", "--literal-pathspecs", *arguments]
        return subprocess.Popen(
            command,
            env=self._environ(),
            cwd=self.place,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            preexec_fn=ended.limit,
        )

    def _environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in os.environ if name.lower().endswith("_proxy") or name == "TZ"}
        kept |= {name: os.environ[name] for name in ("SSL_CERT_FILE", "USER", "LOGNAME") if name in os.environ}
        return kept | {
            "HOME": os.environ["HOME"],
            "PATH": "/usr/local/bin:/usr/bin:/bin",  # never the project's: its people could put a git there
            "LC_ALL": "C.UTF-8",
            "GIT_DIR": self.private,
            "GIT_WORK_TREE": self.place,
            "GIT_INDEX_FILE": os.path.join(self.private, "index"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **dict.fromkeys(("GIT_ASKPASS", "SSH_ASKPASS", "GIT_EDITOR"), "/bin/false"),
            "GIT_ALLOW_PROTOCOL": "https:http:ssh",
            "GIT_OPTIONAL_LOCKS": "0",
        }

    def configure(self) -> None:
        """Our settings, and of the repository's own those that can't act."""
        home = os.environ["HOME"]
        ssh = (
            f"ssh -F /dev/null -i {_quoted(home)}/.ssh/aen_git -o IdentitiesOnly=yes -o BatchMode=yes "
            f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={_quoted(home)}/.ssh/known_hosts "
            "-o ConnectTimeout=20 -o ServerAliveInterval=15 -o ForwardAgent=no -o ClearAllForwardings=yes"
        )
        excludes = os.path.join(self.private, "aen-excludes")
        with open(excludes, "w") as file:
            file.write(".aen*\n.ipynb_checkpoints/\n__pycache__/\n" + ("/envs/\n/.trash*/\n" if self.top else ""))
        ours = {
            "core.repositoryformatversion": "0",
            "core.hooksPath": "/dev/null",
            "core.fsmonitor": "false",
            "core.untrackedCache": "false",
            "core.sshCommand": ssh,
            "core.attributesFile": "/dev/null",
            "core.excludesFile": excludes,
            "core.logAllRefUpdates": "false",
            "core.quotePath": "false",
            "core.protectHFS": "true",
            "core.protectNTFS": "true",
            "protocol.allow": "never",
            **dict.fromkeys(("protocol.https.allow", "protocol.http.allow", "protocol.ssh.allow"), "always"),
            "submodule.recurse": "false",
            "fetch.recurseSubmodules": "false",
            "fetch.fsckObjects": "true",
            "credential.helper": "",
            "gc.auto": "0",
            "maintenance.auto": "false",
            "commit.gpgSign": "false",
            "advice.detachedHead": "false",
            "user.name": str(self.told.get("name") or self.told.get("user") or "somebody"),
            "user.email": str(self.told.get("email") or f"{self.told.get('user', 'somebody')}@localhost"),
        }
        lines = [_setting(name, value) for name, value in [*ours.items(), *self.settings] if name != "core.bare"]
        with open(os.path.join(self.private, "config"), "w") as file:
            file.write("".join(lines))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _setting(name: str, value: str) -> str:
    section, _, rest = name.partition(".")
    below, _, key = rest.rpartition(".")
    escaped = below.replace("\\", "\\\\").replace('"', '\\"')
    head = f'[{section} "{escaped}"]' if below else f"[{section}]"
    told = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{head}\n\t{key} = "{told}"\n'


def _real(path: str, kind: int) -> bool:
    try:
        return stat.S_IFMT(os.lstat(path).st_mode) == kind
    except OSError:
        return False


def is_repository(place: str) -> bool:
    """Whether a folder has a repository of the plain kind: `.git` is a directory, and no link."""
    return all(
        _real(os.path.join(place, *rest), stat.S_IFDIR) for rest in ((".git",), (".git", "objects"), (".git", "refs"))
    )


@contextmanager
def opened(told: Told, *, changing: bool = False) -> Iterator[Repository]:
    """The repository of a folder. `changing`: nobody else changes its index meanwhile, and ours is put back. Refused."""
    place = places.folder(told["project"], str(told.get("folder", "")))
    if not is_repository(place):
        raise Refused("This folder is no git repository (or one of another kind: a submodule, a worktree).")
    with _private() as private:
        repository = Repository(told, place, private)
        _copy_in(repository)
        repository.configure()
        if not changing:
            yield repository
            return
        with _locked(place):
            _copy_in(repository)
            yield repository
            _copy_out(repository)


@contextmanager
def _private() -> Iterator[str]:
    cache = os.path.join(os.environ["HOME"], ".cache", "aen")
    os.makedirs(cache, mode=0o700, exist_ok=True)
    private = tempfile.mkdtemp(prefix="git-", dir=cache)
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


@contextmanager
def _locked(place: str) -> Iterator[None]:
    lock = os.path.join(place, ".git", "index.lock")
    try:
        os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
    except FileExistsError:
        raise Refused(
            "Somebody works with git in this folder right now. Try again in a moment; if nobody does, "
            "a git that was ended left the file .git/index.lock behind: remove it in a terminal."
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(lock)


def _taken(path: str, most: int) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        raise Refused(
            f"{os.path.basename(path)} in .git is no plain file: use git in a terminal to look at it."
        ) from None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Refused(f"{os.path.basename(path)} in .git is no plain file.")
        return file.read(most)


def _copy_in(repository: Repository) -> None:
    git, private = os.path.join(repository.place, ".git"), repository.private
    head = _taken(os.path.join(git, "HEAD"), 400) or b""
    if not _HEAD.fullmatch(head):
        raise Refused("The repository's HEAD is broken, or of a kind that is not known here: use git in a terminal.")
    _write(private, "HEAD", head)
    if (index := _taken(os.path.join(git, "index"), _LARGEST_INDEX)) is not None:
        _write(private, "index", index)
        # Its age tells git which files may have changed in the second after it was written.
        age = os.lstat(os.path.join(git, "index")).st_mtime_ns
        os.utime(os.path.join(private, "index"), ns=(age, age))
    _write(private, "theirs", _taken(os.path.join(git, "config"), 1 << 20) or b"")
    repository.settings = list(_harmless(os.path.join(private, "theirs")))
    for name in _LINKED:
        with suppress(FileExistsError):
            os.symlink(os.path.join(git, name), os.path.join(private, name))


def _copy_out(repository: Repository) -> None:
    git = os.path.join(repository.place, ".git")
    for name in ("HEAD", "index"):
        with suppress(FileNotFoundError), open(os.path.join(repository.private, name), "rb") as file:
            age = os.fstat(file.fileno()).st_mtime_ns
            places.put(git, name, file.read(), age=age)


def _write(folder: str, name: str, data: bytes) -> None:
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def _harmless(path: str) -> Iterator[tuple[str, str]]:
    """The settings that only tell where remotes are. What another git extension needs is refused."""
    found = subprocess.run(
        ["/usr/bin/env", "git", "config", "--file", path, "--no-includes", "--null", "--list"],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": os.environ["HOME"]},
        cwd=os.path.dirname(path),
        capture_output=True,
        timeout=20,
        check=False,
    )
    for entry in found.stdout.decode(errors="replace").split("\0"):
        name, _, value = entry.partition("\n")
        if name.lower().startswith("extensions.") and value.lower() not in ("sha1", "false"):
            raise Refused(f"This repository uses {name}, which is not known here: use git in a terminal.")
        if not _KEPT.match(name):
            continue
        if name.endswith(".url") and not _URL.match(value):
            continue
        yield name, value
