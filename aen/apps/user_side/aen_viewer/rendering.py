"""Rendering: notebooks, Markdown and code as HTML in which nothing can act: cleaned (`cleaning.py`), and no script is allowed besides.

Imports take seconds: this module is first imported in a thread.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import nbformat
from aen_languages import gettext as _
from nbconvert.filters.ansi import ansi2html
from nbconvert.filters.markdown import markdown2html
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

from .cleaning import clean

_FORMAT = HtmlFormatter(nowrap=True)
_PICTURES = ("image/png", "image/jpeg")
_ATTACHED = re.compile(r"\(attachment:([^)\s]+)\)")
_PLACED = re.compile(r'src="aen-attachment/([^"]*)"')
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")

#: What takes its time, by characters: beyond it stands plain, so that nobody waits for minutes.
_MOST_MARKDOWN, _MOST_COLOURED = 512 << 10, 256 << 10
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

#: Colours of code, for both themes.
STYLE = (
    HtmlFormatter(style="default").get_style_defs(".code")
    + "@media (prefers-color-scheme: dark){"
    + HtmlFormatter(style="github-dark").get_style_defs(".code")
    + "}"
)


def markdown(text: str) -> str:
    """Markdown as clean HTML."""
    if len(text) > _MOST_MARKDOWN:
        return f'<pre class="code" tabindex="0">{html.escape(text)}</pre>'
    return f'<div class="prose">{clean(markdown2html(text))}</div>'


def code(text: str, name: str) -> str:
    """Source code in colours, by the name of its file."""
    shown = html.escape(text)
    if len(text) <= _MOST_COLOURED:
        with suppress(ClassNotFound):
            shown = highlight(text, get_lexer_for_filename(name, stripnl=False), _FORMAT)
    return f'<pre class="code" tabindex="0">{shown}</pre>'


def notebook(text: str) -> str:
    """A notebook with what it showed. Raises ValueError when it is none."""
    try:
        book = nbformat.reads(text, as_version=4)
    except Exception as error:  # whatever people call .ipynb: the library raises all sorts
        raise ValueError(str(error)[:200]) from error
    language = str(book.metadata.get("language_info", {}).get("name", "python"))
    return "".join(_cell(cell, language) for cell in book.cells)


def _cell(cell: Any, language: str) -> str:
    if cell.cell_type == "markdown":
        return _with_attachments(cell)
    if cell.cell_type != "code":
        return f'<pre class="raw">{html.escape(cell.source)}</pre>'
    shown = html.escape(cell.source)
    if len(cell.source) <= _MOST_COLOURED:
        with suppress(ClassNotFound):
            shown = highlight(cell.source, get_lexer_by_name(language), _FORMAT)
    number = cell.get("execution_count") or " "
    outputs = "".join(_output(output) for output in cell.outputs)
    source = f'<div class="number">[{html.escape(str(number))}]</div><pre class="code" tabindex="0">{shown}</pre>'
    return (
        f'<section class="cell">{source}{f"<div></div><div class=outputs>{outputs}</div>" if outputs else ""}</section>'
    )


def _with_attachments(cell: Any) -> str:
    """Pictures that lie in the cell itself take their place once all else is clean."""
    made = markdown(_ATTACHED.sub(r"(aen-attachment/\1)", cell.source))
    attached = cell.get("attachments") or {}
    return _PLACED.sub(lambda found: f'src="{_data_address(attached.get(html.unescape(found[1]), {}))}"', made)


def _data_address(bundle: Mapping[str, Any]) -> str:
    for kind in _PICTURES:
        data = bundle.get(kind)
        if isinstance(data, str) and _BASE64.fullmatch(data):
            return f"data:{kind};base64,{''.join(data.split())}"
    return ""


def _written(text: str) -> str:
    """What a program wrote, in its colours."""
    if len(text) > _MOST_COLOURED:
        return html.escape(_CONTROL.sub("", text))
    return str(ansi2html(text))


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return f'<pre class="out">{_written(output.text)}</pre>'
    if output.output_type == "error":
        return f'<pre class="out error">{_written(chr(10).join(output.traceback))}</pre>'
    return _richest(output.get("data", {}))


def _richest(bundle: Mapping[str, Any]) -> str:
    if picture := _data_address(bundle):
        return f'<img alt="{html.escape(_("A picture that this cell showed"))}" src="{picture}">'
    if isinstance(bundle.get("text/html"), str):
        return f'<div class="html">{clean(bundle["text/html"])}</div>'
    if isinstance(bundle.get("text/markdown"), str):
        return markdown(bundle["text/markdown"])
    plain = bundle.get("text/plain") or bundle.get("text/latex") or "\n".join(bundle)
    return f'<pre class="out">{_written(str(plain))}</pre>'
