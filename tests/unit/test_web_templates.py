"""Templates: rows that are kept depend on their document alone; texts are the reader's; forms hold the page's token."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, StrictUndefined, UndefinedError, meta, nodes
from markupsafe import Markup

from aen.languages import LANGUAGE
from aen.model.user import User
from aen.web.filters import FILTERS
from aen.web.static import Assets
from aen.web.templates import Pieces, Templates

NOON = 43_200.0  # pieces depend on the minute: in these tests it is one and the same
FOLDER = Path(__file__).resolve().parents[2] / "templates"
_KEPT = re.compile(r'\b(?:kept|kept_list|once)\("([^"]+)", (\w+), ')
#: What a kept macro may use besides its document: none of it knows the page or who reads it.
ALLOWED = {"_", "ngettext", "icon", "static", "said", "avatar", "state", "visibility"}


def uses() -> Iterator[tuple[str, str, str]]:
    """Every `kept(name, macro, …)`, `kept_list` and `once` of the templates, with its file."""
    for path in sorted(FOLDER.rglob("*.html")):
        for name, macro in _KEPT.findall(path.read_text()):
            yield name, macro, str(path.relative_to(FOLDER))


def macros() -> dict[str, list[nodes.Macro]]:
    """Macros by name."""
    found: dict[str, list[nodes.Macro]] = {}
    for path in FOLDER.rglob("*.html"):
        for macro in Environment(autoescape=True).parse(path.read_text()).find_all(nodes.Macro):
            found.setdefault(macro.name, []).append(macro)
    return found


def test_a_piece_has_a_name_of_its_own() -> None:
    made: dict[str, set[tuple[str, str]]] = {}
    for name, macro, file in uses():
        made.setdefault(name, set()).add((macro, file if macro != "project_item" else ""))
    assert len(made) >= 4
    assert {name: places for name, places in made.items() if len(places) > 1} == {}


@pytest.mark.parametrize("macro", sorted({macro for _, macro, _ in uses()}))
def test_a_piece_depends_on_its_document_alone(macro: str) -> None:
    environment = Environment(autoescape=True)
    environment.filters.update(FILTERS)
    for found in macros()[macro]:
        whole = nodes.Template([found], lineno=1)
        whole.set_environment(environment)
        assert meta.find_undeclared_variables(whole) <= ALLOWED


def row(calls: list[str]) -> type:
    def made(user: User, *given: object) -> Markup:
        calls.append(user.full_name)
        return Markup("{} {}").format(user.full_name, LANGUAGE.get())

    return made  # type: ignore[return-value]


def test_a_piece_is_made_anew_when_its_document_language_or_reader_differs() -> None:
    calls: list[str] = []
    pieces, macro = Pieces(lambda: NOON), row(calls)
    user = User(id="ada", incarnation="1", full_name="Ada", rev=1, created=1)
    assert pieces.kept("row", macro, user) == pieces.kept("row", macro, user) == "Ada en"
    assert pieces.kept("row", macro, user.model_copy(update={"full_name": "Ada L.", "rev": 2})) == "Ada L. en"
    later = user.model_copy(update={"full_name": "Another", "created": 2})  # a name that was given again
    assert pieces.kept("row", macro, later) == "Another en"
    assert pieces.kept("other row", macro, user) == "Ada en"
    token = LANGUAGE.set("de")
    assert pieces.kept("row", macro, user) == "Ada de"
    LANGUAGE.reset(token)
    never = user.model_copy(update={"rev": 0})
    pieces.kept("row", macro, never)
    pieces.kept("row", macro, never)
    assert calls == ["Ada", "Ada L.", "Another", "Ada", "Ada", "Ada", "Ada"]


def test_a_piece_is_made_anew_in_the_next_minute() -> None:
    calls: list[str] = []
    at = [NOON]
    pieces, macro = Pieces(lambda: at[0]), row(calls)
    user = User(id="ada", incarnation="1", full_name="Ada", rev=1)
    for seconds, made in ((0, 1), (59, 1), (60, 2), (119, 2), (120, 3)):
        at[0] = NOON + seconds
        pieces.kept("row", macro, user)
        assert len(calls) == made


def test_pieces_are_bounded_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aen.web.templates._MOST_KEPT", 4_000)
    calls: list[str] = []  # `created` is told: of itself it is the very millisecond
    pieces, macro = Pieces(lambda: NOON), row(calls)
    for number in range(30):
        pieces.kept("row", macro, User(id=f"u{number}", incarnation="1", created=1, rev=1))
    pieces.kept("row", macro, User(id="u29", incarnation="1", created=1, rev=1))
    pieces.kept("row", macro, User(id="u0", incarnation="1", created=1, rev=1))
    assert len(calls) == 31
    long = User(id="long", incarnation="1", created=1, full_name="x" * 3_500, rev=1)
    assert pieces.kept("row", macro, long) is pieces.kept("row", macro, long)
    pieces.kept("row", macro, User(id="u0", incarnation="1", created=1, rev=1))
    assert len(calls) == 33, "the long one took the room of all others"


def test_a_list_is_its_pieces_one_after_the_other() -> None:
    calls: list[str] = []
    pieces, macro = Pieces(lambda: NOON), row(calls)
    users = [User(id=name, incarnation="1", full_name=name, rev=1) for name in ("<ada>", "bob")]
    assert pieces.kept("row", macro, users[1]) == "bob en"
    assert pieces.kept_list("row", macro, users) == pieces.kept_list("row", macro, users) == "&lt;ada&gt; enbob en"
    assert calls == ["bob", "<ada>"]


def test_what_depends_on_what_is_given_alone_is_made_once() -> None:
    calls: list[str] = []

    def macro(text: str) -> Markup:
        calls.append(text)
        return Markup("<b>{}</b>{}").format(text, LANGUAGE.get())

    pieces = Pieces(lambda: NOON)
    assert pieces.once("it", macro, "<a>") == pieces.once("it", macro, "<a>") == "<b>&lt;a&gt;</b>en"
    token = LANGUAGE.set("de")
    assert pieces.once("it", macro, "<a>") == "<b>&lt;a&gt;</b>de"
    LANGUAGE.reset(token)
    assert calls == ["<a>", "<a>"]


def test_each_page_has_its_own_token_and_language() -> None:
    templates = Templates(Assets("/static/"))
    context = {
        "path": "/admin/reset",
        "request_id": "",
        "problem": "",
        "link": "",
        "name": "",
        "me": User(id="ada", incarnation="1", staff=True),
    }
    english = templates.render("admin/reset.html", {**context, "csrf": "first"})
    token = LANGUAGE.set("de")
    german = templates.render("admin/reset.html", {**context, "csrf": "second"})
    LANGUAGE.reset(token)
    assert re.findall(r'name="csrf" value="(\w*)"', english) == ["first", "first"]
    assert re.findall(r'name="csrf" value="(\w*)"', german) == ["second", "second"]
    assert ("Password reset" in english, "Passwort zurücksetzen" in german) == (True, True)
    again = templates.render("admin/reset.html", {**context, "csrf": "third"})
    assert "Password reset" in again


def test_what_a_page_showed_is_let_go_of_at_once() -> None:
    """Not when the collector comes by: macros hold their page and the page its macros."""
    templates = Templates(Assets("/static/"))
    text = (
        "{% macro a(x) %}{{ b(x) }}{% endmacro %}{% macro b(x) %}<{{ x.id }}>{% endmacro %}{{ a(user) }}{{ a(user) }}"
    )
    template = templates._in("en").from_string(text)
    user = User(id="ada", incarnation="1")
    gone = weakref.ref(user)
    gc.disable()
    try:
        assert templates._whole(template, {"user": user}) == "<ada><ada>"
        del user
        assert gone() is None
    finally:
        gc.enable()


def test_functions_and_macros_are_called_as_jinja_calls_them() -> None:
    text = (
        "{% macro row(x, y=1) %}<{{ x }}{{ y }}>{% endmacro %}{% macro box() %}[{{ caller() }}]{% endmacro %}"
        "{% block a %}{% set z = 3 %}{% for i in '&b' %}{% set q = i %}{{ row(q, y=z) }}{{ told(q, k=z) }}{% endfor %}"
        "{% call box() %}{{ row(z) }}{% endcall %}{% set more = row %}{{ more('\"') }}{% endblock %}"
    )
    ours = Templates(Assets("/static/"))._in("en")
    theirs = Environment(autoescape=True, undefined=StrictUndefined)
    given = {"told": lambda q, k: f"{q}={k};"}
    assert ours.from_string(text).render(given) == theirs.from_string(text).render(given)
    with pytest.raises(UndefinedError):
        ours.from_string("{{ nothing() }}").render()


def test_an_error_in_a_page_names_the_line_of_its_template() -> None:
    templates = Templates(Assets("/static/"))
    with pytest.raises(UndefinedError) as caught:
        templates.render("admin/reset.html", {"csrf": ""})
    assert caught.traceback[-1].name in ("template", "top-level template code") or "block" in caught.traceback[-1].name
    assert not caught.traceback[-1].name.startswith(("root", "block_"))


def test_what_is_known_beforehand_is_in_the_page_as_if_it_were_called() -> None:
    """Icons and addresses are put in when a template is read: whole, and not escaped."""
    templates = Templates(Assets("/static/"))
    environment = templates._in("en")
    known = environment.from_string(
        "{{ icon('plus') }}|{{ icon('lock', 14) }}|{{ static('app.js') }}|{{ _('Projects') }}"
    )
    asked = environment.from_string("{{ icon(a) }}|{{ icon(b, n) }}|{{ static(c) }}|{{ _(d) }}")
    given = {"a": "plus", "b": "lock", "n": 14, "c": "app.js", "d": "Projects"}
    assert known.render() == asked.render(given)
    assert known.render().startswith('<svg class="icon"')
    assert environment.from_string("{{ _('<b>') }}").render() == "&lt;b&gt;"
