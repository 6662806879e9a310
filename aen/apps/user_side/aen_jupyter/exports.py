"""Exports: what JupyterLab's "Save and Export Notebook As" offers is what can be made on this machine."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import Any

_PANDOC = ("ASCIIDocExporter", "RSTExporter", "LatexExporter", "PDFExporter")


def offer_what_can_be_made(config: Any) -> None:
    """Turn off in Jupyter's configuration what lacks its program or package here."""
    for name in missing():
        config[name].enabled = False


def missing() -> set[str]:
    """nbconvert's exporters that would fail."""
    found = set() if shutil.which("pandoc") else set(_PANDOC)
    if not shutil.which("xelatex"):
        found.add("PDFExporter")
    if not find_spec("playwright"):
        found.add("WebPDFExporter")
    if not (find_spec("PyQt5") or find_spec("PyQt6")):
        found |= {"QtPDFExporter", "QtPNGExporter"}
    return found
