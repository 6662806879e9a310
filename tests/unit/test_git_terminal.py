"""git as people in a project have it: repositories of others in the team work, and commits have their maker's name."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

GIT = Path(__file__).resolve().parents[2] / "aen/apps/user_side/aen_jupyter/git.sh"
BOB = 61902

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Desk:
    """A project, a home, and our git on PATH before the machine's."""

    def __init__(self, top: Path) -> None:
        self.project, home, front = top / "genome", top / "home", top / "front"
        for folder in (self.project, home, front):
            folder.mkdir()
        shutil.copy(GIT, front / "git")
        (front / "git").chmod(0o755)
        self.environ = {
            "PATH": f"{front}:{os.environ['PATH']}",
            "HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "AEN_PROJECT_DIR": str(self.project),
            "AEN_GIT_NAME": "Ann O'Hara",
            "AEN_GIT_EMAIL": "ann@example.org",
        }

    def git(
        self, *arguments: str, at: Path | None = None, but: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run git, by its name alone, in the project or in `at`. `but`: variables that are different."""
        place, surroundings = at or self.project, {**self.environ, **(but or {})}
        command = ["/usr/bin/env", "git", *arguments]
        return subprocess.run(command, cwd=place, env=surroundings, capture_output=True, text=True, check=False)

    def committed(self, message: str, but: dict[str, str] | None = None) -> str:
        """Make a commit, and say as whom."""
        done = self.git("commit", "-q", "--allow-empty", "-m", message, but=but)
        assert done.returncode == 0, done.stderr
        return self.git("log", "-1", "--format=%an <%ae>: %s").stdout.strip()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    assert made.git("init", "-q").returncode == 0
    return made


def test_commits_have_the_name_of_the_account_unless_git_was_told_one(desk: Desk) -> None:
    assert desk.committed("a $b 'c' *") == "Ann O'Hara <ann@example.org>: a $b 'c' *"
    assert desk.git("config", "user.name").stdout == "Ann O'Hara\n"
    assert desk.committed("x", {"EMAIL": "ann@home.example"}) == "Ann O'Hara <ann@home.example>: x"
    desk.git("config", "--global", "user.email", "a@b.example")
    assert desk.committed("x") == "Ann O'Hara <a@b.example>: x"
    desk.git("config", "user.name", "Here")
    assert desk.committed("x") == "Here <a@b.example>: x"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a repository of somebody else")
def test_repositories_of_others_are_used_in_the_project_alone(desk: Desk, tmp_path: Path) -> None:
    for place in (desk.project / "deep/er", tmp_path / "elsewhere"):
        place.mkdir(parents=True)
        assert desk.git("init", "-q", at=place).returncode == 0
        for folder, _, files in os.walk(place):
            for path in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(path, BOB, BOB)
    assert desk.git("status", at=desk.project / "deep/er").returncode == 0
    refused = desk.git("status", at=tmp_path / "elsewhere")
    assert "dubious ownership" in refused.stderr


def test_a_machine_without_git_says_so(desk: Desk, tmp_path: Path) -> None:
    for program in ("env", "sh"):
        (tmp_path / "front" / program).symlink_to(f"/usr/bin/{program}")
    alone = desk.git("status", but={"PATH": str(tmp_path / "front")})
    assert (alone.returncode, alone.stderr) == (127, "git: it is not installed on this machine\n")
