"""Cleaning HTML for the Viewer: nothing that acts is left, whatever comes in; what people write stays; no text takes for ever."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aen.apps.user_side.aen_viewer.cleaning import _TAGS, _VOID, clean

_NAMES = frozenset("class id title align href src alt width height start colspan rowspan scope".split())
_PIECES = st.sampled_from(
    "< > / = ! - & \" ' a b p td table script svg style img iframe form href src onclick title javascript: https: data: x "
    "<a <b> <p> </p> </b> <td> <table> <script> </script> <!-- --> <![CDATA[ ]]> <svg> &lt; &#106; \t \n \0 \x0c".split(
        " "
    )
)


class Read(HTMLParser):
    """What a reader of HTML finds in it; raises AssertionError for what must not be there."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS
        assert {name for name, _ in attrs} <= _NAMES
        for name, value in attrs:
            address = re.sub(r"[\x00-\x20]", "", value or "").lower() if name in ("href", "src") else ""
            assert not re.match(r"(?!https?:|mailto:)[^/?#:]*:", address), address
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_whatever_comes_in_nothing_acts_and_every_tag_is_closed(text: str) -> None:
    once = clean(text)
    assert Read(once).open == []
    assert clean(once) == once


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("<b>bold</b> & <i>more", "<b>bold</b> &amp; <i>more</i>"),
        ("a < 3, b <3 &lt;b&gt; &amp;amp;", "a &lt; 3, b &lt;3 &lt;b&gt; &amp;amp;"),
        ('<TABLE class="dataframe" border=1><tr><th scope=row>1</table>x', '<table class="dataframe"><tr><th scope="row">1</th></tr></table>x'),
        ("<img src='a b.png' alt=\"it's\" onerror=steal()>", '<img src="a b.png" alt="it&#x27;s">'),
        ("<a href=https://x/?a=1&amp;b=2 href=javascript:steal()>x</a>", '<a href="https://x/?a=1&amp;b=2">x</a>'),
        ("<a href='x/y:z'>1</a><a href='#a:b'>2</a>", '<a href="x/y:z">1</a><a href="#a:b">2</a>'),
        ("<a href='&#106;ava&Tab;script:steal()'>x</a><a href=' data:text/html,x'>y</a>", "<a>x</a><a>y</a>"),
        ("<script>steal()</script>1<style>*{}</style>2<svg onload=steal()><a>x</a></svg>3<form><input>4</form>", "1234"),
        ("1<!-- <b> -->2<!doctype x>3<?php x ?>4</ b>5", "12345"),
        ("</div></section></body>still in its place", "still in its place"),
        ("1<script>steal()", "1"),
        ('1<a href="x', "1"),
    ],
)  # fmt: skip
def test_what_is_left(given: str, left: str) -> None:
    assert clean(given) == left


@pytest.mark.parametrize(
    "piece", ["<script ", "<!--", "<", '<a b="', "<a b='", "<svg>", "<p><b>", "</b>", "<a x=", "&#", "<a  /"]
)
def test_much_of_anything_comes_to_an_end(piece: str) -> None:
    assert Read(clean(piece * ((1 << 18) // len(piece)))).open == []
