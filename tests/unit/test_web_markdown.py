"""Descriptions are shown as HTML that can do nothing."""

from __future__ import annotations

import re
import threading

import pytest
from markupsafe import Markup, escape

from aen.web import markdown
from aen.web.markdown import Descriptions, render_markdown

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "![x](javascript:alert(1))",
    "<iframe src=https://evil></iframe>",
    "<svg onload=alert(1)>",
    "<style>*{display:none}</style>",
    "<form action=https://evil><input></form>",
    '"><script>alert(1)</script>',
    "`<script>`",
    '[a](https://x "onmouseover=alert(1)")',
    "<a href='https://x' style='position:fixed'>x</a>",
]
_TAG = re.compile(r"<(/?)([a-z0-9]+)([^>]*)>", re.IGNORECASE)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown_is_only_text(text: str) -> None:
    html = str(render_markdown(text))
    for _, tag, attributes in _TAG.findall(html):
        assert tag in {"p", "a", "img", "code", "br"}
        assert not re.search(r"\s(on\w+|style)\s*=", re.sub(r'"[^"]*"', '""', attributes))
        assert not re.search(r'(href|src)="(?!https?:|mailto:)', attributes)


def test_markdown_is_rendered() -> None:
    html = str(render_markdown("# T\n\n**b** [l](https://example.org)\n\n| a |\n|---|\n| 1 |\n"))
    assert "<h1>T</h1>" in html
    assert "<strong>b</strong>" in html
    assert "<table>" in html
    assert 'rel="nofollow noopener noreferrer"' in html


@pytest.mark.parametrize(
    "address", ["https://example.org/a.png", "http://example.org/a.png", "//example.org/a.png", "HTTPS://example.org/a"]
)
def test_pictures_from_elsewhere_are_links(address: str) -> None:
    html = str(render_markdown(f"![a <figure>]({address})"))
    assert "<img" not in html
    assert f'<a href="{address}"' in html
    assert ">a &lt;figure&gt;</a>" in html


def test_pictures_of_ours_are_pictures() -> None:
    html = str(render_markdown("![a figure](/static/a.png) ![b](a.png)"))
    assert 'src="/static/a.png"' in html
    assert 'src="a.png"' in html


@pytest.mark.parametrize("text", ["[" * 100_000, "> " * 60 + "a\n" * 40_000, "![[" * 40_000], ids=["[", "lazy", "!["])
def test_a_text_that_would_take_for_ever_is_shown_as_it_is(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_SECONDS", 0.05)
    assert render_markdown(text) == f"<pre>{escape(text)}</pre>"


async def test_descriptions_that_are_kept_take_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_MOST_KEPT", 10_000)
    descriptions = Descriptions()
    for number in range(50):
        assert await descriptions.html(f"{number} " * 300) == f"<p>{(f'{number} ' * 300).strip()}</p>\n"
        kept = sum(len(text) + len(html) for text, html in descriptions._made.items())
        assert kept == descriptions._size <= 10_000
    assert descriptions._made


async def test_a_description_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(text: str) -> Markup:
        made.append(threading.current_thread().name)
        return render_markdown(text)

    monkeypatch.setattr(markdown, "render_markdown", counted)
    descriptions, long = Descriptions(), "*a* " * 1_000
    for _ in range(2):
        assert await descriptions.html("**b**") == "<p><strong>b</strong></p>\n"
        assert str(await descriptions.html(long)).startswith("<p><em>a</em>")
    assert made[0] == threading.current_thread().name
    assert [name.split("_")[0] for name in made[1:]] == ["markdown"]  # a long one holds nobody up
