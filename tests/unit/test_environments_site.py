"""What uv is told about the machine: the system's certificates and the index that pip is configured to use."""

from __future__ import annotations

from pathlib import Path

import pytest

from aen.environments.site import for_uv

MIRROR = "https://mirror.example.org/simple"


@pytest.fixture
def conf(tmp_path: Path) -> str:
    path = tmp_path / "pip.conf"
    path.write_text(f"[global]\nindex-url = {MIRROR}\n[install]\ntrusted-host = %(nothing)s\n")
    return str(path)


def test_the_index_of_pips_configuration_is_used(conf: str) -> None:
    assert for_uv({}, (conf,), ()) == {"UV_DEFAULT_INDEX": MIRROR}
    assert for_uv({"PIP_CONFIG_FILE": conf}, (), ()) == {"UV_DEFAULT_INDEX": MIRROR}
    assert (
        for_uv({"PIP_INDEX_URL": "https://own.example/simple"}, (conf,), ())["UV_DEFAULT_INDEX"]
        == "https://own.example/simple"
    )


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_NO_INDEX"])
def test_what_is_set_for_uv_wins(conf: str, name: str) -> None:
    assert for_uv({name: "x"}, (conf,), ()) == {}


def test_the_systems_certificates_are_used_where_there_are_some(conf: str, tmp_path: Path) -> None:
    assert for_uv({}, (), (conf,)) == {"UV_SYSTEM_CERTS": "1"}
    assert for_uv({"SSL_CERT_FILE": "/x"}, (), (conf,)) == {}
    assert for_uv({}, (), (str(tmp_path / "none"),)) == {}


def test_files_that_are_broken_or_missing_count_for_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_bytes(b"index-url = \xff\xfe")
    assert for_uv({}, (str(broken), str(tmp_path / "none")), ()) == {}
