"""What uv is asked without a network: locks alone, in which every line names one version and its hashes."""

from __future__ import annotations

from pathlib import Path

import pytest

USER_SIDE = Path(__file__).resolve().parents[2] / "aen" / "environments" / "user_side"


@pytest.mark.parametrize(
    ("text", "lock"),
    [
        ("numpy==2.1.0 --hash=sha256:00ff\npandas == 2.2.3 --hash=sha256:11ee\n", True),
        ("numpy==2.1.0\n", False),  # its dependencies are nowhere: the index knows the newest
        ("numpy==2.1.0 --hash=sha256:00ff\npandas==2.2.3\n", False),
        ("# made by uv\nnumpy==2.1.0 \\\n    --hash=sha256:00ff \\\n    --hash=sha256:11ee\n    # via pandas\n", True),
        ("jinja2[i18n]==3.1.4 ; python_version >= '3.8' \\\n --hash=sha256:00ff\n", True),
        ("", False),
        ("numpy\n", False),
        ("numpy>=2\n", False),
        ("numpy==2.*\n", False),
        ("numpy==2.1.0 --hash=sha256:00ff\n-e .\n", False),
        ("--no-binary numpy\nnumpy==2.1.0 --hash=sha256:00ff\n", False),
        ("x @ git+https://example.org/x@abc\n", False),
    ],
)
def test_what_is_a_lock(text: str, lock: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(USER_SIDE))
    from aen_environments import by_uv

    assert by_uv._is_lock(text) is lock


@pytest.mark.parametrize("cached", [True, False])
def test_the_network_is_asked_only_for_what_is_not_there(
    cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(USER_SIDE))
    from aen_environments import by_uv

    uv = tmp_path / "uv"
    offline = "echo 'Installed 1 package' >&2; exit 0" if cached else "echo 'not in the cache' >&2; exit 1"
    uv.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ncase "$*" in *--offline*) {offline};; esac\necho online >&2\n'
    )
    uv.chmod(0o755)
    by_uv.install({"uv": str(uv)}, "/envs/a", [], "numpy==2.1.0 --hash=sha256:00ff\n")
    asked = (tmp_path / "asked").read_text().splitlines()
    plain = "pip install --python /envs/a/bin/python -r -"
    assert asked == ([f"{plain} --offline"] if cached else [f"{plain} --offline", plain])
    assert capfd.readouterr().err == ("Installed 1 package\n" if cached else "online\n")
    by_uv.install({"uv": str(uv)}, "/envs/a", ["numpy==2.1.0"], "")
    assert (tmp_path / "asked").read_text().splitlines()[len(asked) :] == [plain]
