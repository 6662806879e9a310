"""What JupyterLab offers to export a notebook as: what the machine can make, told by the programs that are on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aen.apps.user_side.aen_jupyter.exports import missing

PANDOC = {"ASCIIDocExporter", "RSTExporter", "LatexExporter"}
BY_PROGRAM = {*PANDOC, "PDFExporter"}


@pytest.mark.parametrize(
    ("programs", "wanted"),
    [
        ((), BY_PROGRAM),
        (("pandoc",), {"PDFExporter"}),
        (("xelatex",), BY_PROGRAM),
        (("pandoc", "xelatex"), set()),
    ],
)
def test_what_lacks_its_program_is_not_offered(
    programs: tuple[str, ...], wanted: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in programs:
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing() & BY_PROGRAM == wanted
    assert not missing() & {"HTMLExporter", "MarkdownExporter", "ScriptExporter", "SlidesExporter"}
