"""What people write about a project: checked, and brought into one form that does not change again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aen.errors import Invalid
from aen.roles.server.project.wording import description, summary, tags


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["DNA", "dna ", " Dna"], ["dna"]),
        (["machine learning"], ["machine-learning"]),
        (["c++", "c#", ".net", "a_b"], ["c++", "c#", ".net", "a_b"]),
        (["größe", "数据"], ["größe", "数据"]),
        (["", "  ", "--", "<b>"], ["b"]),
        (["b", "a"], ["b", "a"]),
    ],
)
def test_tags(given: list[str], wanted: list[str]) -> None:
    assert tags(given) == wanted


@pytest.mark.parametrize("given", [["x" * 41], [f"t{n}" for n in range(21)], ["\udfff"], ["a\x00"]])
def test_tags_that_are_refused(given: list[str]) -> None:
    with pytest.raises(Invalid):
        tags(given)


@given(st.lists(st.text(max_size=30), max_size=20))
def test_tags_are_in_their_final_form_at_once(given: list[str]) -> None:
    try:
        once = tags(given)
    except Invalid:
        return
    assert tags(once) == once
    assert all(tag and tag == tag.strip("-") for tag in once)


def test_summary_is_one_line_with_an_end() -> None:
    assert summary("  a\n b\t c ") == "a b c"
    assert summary("x" * 300) == "x" * 300
    with pytest.raises(Invalid, match="300"):
        summary("x" * 301)


def test_description_keeps_its_form_and_has_an_end() -> None:
    assert description("# A\r\n\r\n    code\n") == "# A\n\n    code\n"
    assert len(description("x" * 65536)) == 65536
    for text in ("x" * 65537, "ä" * 32769, "\ud83d", "\x1b[31m"):
        with pytest.raises(Invalid):
            description(text)
