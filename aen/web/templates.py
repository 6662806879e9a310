"""Templates: Jinja2 from memory, with autoescape, no undefined names, and the filters that pages use."""

from __future__ import annotations

import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Protocol, cast

from jinja2 import DictLoader, Environment, StrictUndefined, Template, nodes
from jinja2.runtime import Context, Macro
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from aen import __version__
from aen.doorkeeper import Doorkeeper
from aen.languages import LANGUAGE, SOURCE, gettext, ngettext, said, sayings
from aen.web.files import read_all
from aen.web.filters import FILTERS
from aen.web.static import Assets

#: What base.html needs and a site's frame may replace.
DEFAULTS: dict[str, Any] = {
    "me": None,
    "csrf": "",
    "banner": None,
    "announcement": None,
    "acting": None,
    "unread": 0,
    "theme": "system",
    "notice": "",
    "home": "/",
    "here": "",
    "picture": lambda name: "",  # where a person's picture is
    "known_as": {},  # those whom the page speaks of, by user name
    "version": __version__,
}


class Named(Protocol):
    """A person."""

    @property
    def called(self) -> str:
        """What pages call them."""

    @property
    def created(self) -> int:
        """Since when, in ms since 1970."""


#: Where a person's picture is ("" for none), for the page that is being made now.
_PICTURE: ContextVar[Callable[[str], str]] = ContextVar("picture", default=lambda name: "")
#: People whom that page speaks of, by user name.
_PEOPLE: ContextVar[Mapping[str, Named]] = ContextVar("known_as", default=MappingProxyType({}))
#: The token that forms of the page hold which is being made now.
_CSRF: ContextVar[str] = ContextVar("csrf", default="")

Make = Callable[..., Any]
_FORESEEN = ("_", "icon", "static")
_MOST_KEPT = 10_000_000  # characters of pieces of pages
_EACH_KEPT = 300  # that one counts for besides


class _Foreseeing(NodeTransformer):
    """Puts what is known beforehand in the place of calls: `_("text")` in the language, `icon("plus")`, `static("app.js")`.
    A page then costs what it would cost in one language and without icons. `known`: what makes it, by its name."""

    def __init__(self, known: Mapping[str, Make]) -> None:
        self._known = known

    def visit_Call(self, node: nodes.Call, *given: Any, **more: Any) -> nodes.Node:
        self.generic_visit(node, *given, **more)
        make = self._known.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        values = [arg.value for arg in node.args if isinstance(arg, nodes.Const)]
        more_given = node.kwargs or node.dyn_args or node.dyn_kwargs
        if make is None or more_given or not values or len(values) < len(node.args):
            return node
        return nodes.Const(make(*values), lineno=node.lineno)


class _Context(Context):
    """A page's names. Macros are the only ones called here that want to know where they are called from."""

    def call(self, called: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """As Jinja's, which asks each function anew what it wants to know; a page calls some dozens."""
        named.pop("_block_vars", None)
        named.pop("_loop_vars", None)
        return called(self.eval_ctx, *args, **named) if isinstance(called, Macro) else called(*args, **named)


class _Spoken(Environment):
    """The templates in one language: their own texts are translated once, when a template is first used."""

    context_class = _Context
    language = SOURCE

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """The same for all: no template has any of its own. A chain of mappings is copied slowly, for each part of a page."""
        return self.globals if not d else {**self.globals, **d}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        token = LANGUAGE.set(self.language)
        try:
            _Foreseeing({name: cast(Make, self.globals[name]) for name in _FORESEEN}).visit(parsed)
        finally:
            LANGUAGE.reset(token)
        return parsed


class Pieces:
    """Pieces of lists that were made already: `kept("a name", macro, document, …)` in a template makes a row once, not for each
    reader. What the macro makes may depend on the document (as it was stored: its rev), on what else it is given, on the language
    and on the minute, and on nothing else. So no piece is ever wrong, and times in it are at most a minute old.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970."""
        self._clock = clock
        self._doorkeeper = Doorkeeper()
        self._made: OrderedDict[tuple[Any, ...], Markup] = OrderedDict()
        self._size = 0

    def kept(self, name: str, macro: Callable[..., Markup], document: Any, *given: Any) -> Markup:
        """What `macro(document, *given)` makes. `name` is of this piece alone."""
        return self._piece((name, given, LANGUAGE.get(), self._minute()), macro, document, *given)

    def kept_list(self, name: str, macro: Callable[..., Markup], documents: Iterable[Any]) -> Markup:
        """`kept` for each of the documents, one after the other."""
        of = (name, (), LANGUAGE.get(), self._minute())
        return Markup("".join([self._piece(of, macro, document) for document in documents]))  # noqa: S704 (all are Markup)

    def once(self, name: str, macro: Callable[..., Markup], *given: Any) -> Markup:
        """What `macro(*given)` makes, where that depends on nothing but what is given (hashable) and the language."""
        return self._get((name, given, LANGUAGE.get()), macro, *given)

    def _minute(self) -> int:
        return int(self._clock() / 60)

    def _piece(self, of: tuple[Any, ...], macro: Callable[..., Markup], document: Any, *given: Any) -> Markup:
        if not document.rev:  # never stored: the next one of that id may be another
            return macro(document, *given)
        # A name can be given again, and revs begin anew. (Asking a model for what it has not takes as long as making a row.)
        bearer = document.__dict__.get("created", 0)
        return self._get((of, document.id, document.rev, bearer), macro, document, *given)

    def _get(self, key: tuple[Any, ...], macro: Callable[..., Markup], *given: Any) -> Markup:
        made = self._made.get(key)
        if made is None:
            made = macro(*given)
            if self._doorkeeper.knows(key):
                self._keep(key, made)
        return made

    def _keep(self, key: tuple[Any, ...], made: Markup) -> None:
        self._made[key] = made
        self._size += len(made) + _EACH_KEPT
        while self._size > _MOST_KEPT:
            self._size -= len(self._made.popitem(last=False)[1]) + _EACH_KEPT


def _called(name: str, at: int = 0) -> str:
    """What the page calls somebody; `at` (ms since 1970): who did something then. A name may have been given to another person since."""
    known = _PEOPLE.get().get(name)
    return name if known is None or (at and at < known.created) else known.called


class Templates:
    """All templates, read once. `render(name, context)`; a name that is not in the context is an error."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._sources = {path: body.decode() for path, body in read_all("templates").items()}
        self._spoken_in: dict[str, _Spoken] = {}
        self._pieces = Pieces()
        self._drawn: dict[tuple[str, int], Markup] = {}
        self._icons = frozenset(re.findall(r'id="([a-z-]+)"', read_all("static")["icons.svg"].decode()))
        self._spoken = sorted({text for body in read_all("static").values() for text in sayings(body.decode())})

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The template's HTML."""
        token, shown = _CSRF.set(context.get("csrf", "")), _PICTURE.set(context.get("picture") or DEFAULTS["picture"])
        people = _PEOPLE.set(context.get("known_as") or {})
        try:
            return self._whole(self._in(LANGUAGE.get()).get_template(name), context)
        finally:
            _PEOPLE.reset(people)
            _CSRF.reset(token)
            _PICTURE.reset(shown)

    def _whole(self, template: Template, context: Mapping[str, Any]) -> str:
        made = template.new_context(dict(context))
        try:
            return "".join(template.root_render_func(made))
        except Exception:
            template.environment.handle_exception()  # raises it again, with the template's lines in the traceback
        finally:
            # Its macros hold it, and it holds them: only the collector would let go of the page's data, and hold up others for that.
            made.vars.clear()

    def _in(self, language: str) -> Environment:
        """The templates in that language."""
        env = self._spoken_in.get(language)
        if env is None:
            env = self._spoken_in[language] = _Spoken(
                loader=DictLoader(self._sources),
                autoescape=True,
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
                auto_reload=False,
                cache_size=-1,  # all: else each part of a page is looked for under a lock
            )
            env.language = language
            env.globals.update(static=self._assets.url, icon=self._icon, spoken=self._words, **DEFAULTS)
            # `_("…")` and its like in templates; `said` for messages that were put together elsewhere.
            env.globals.update(_=gettext, ngettext=ngettext, said=said, language=LANGUAGE.get)
            env.globals.update(
                kept=self._pieces.kept,
                kept_list=self._pieces.kept_list,
                once=self._pieces.once,
                csrf_of_page=_CSRF.get,
                picture_of=lambda name: _PICTURE.get()(name),
                called=_called,
            )
            env.filters.update(FILTERS)
        return env

    def _words(self) -> str:
        """What the scripts say, in the reader's language, as JSON (static/words.js); nothing in English."""
        if LANGUAGE.get() == SOURCE:
            return ""
        return json.dumps({text: gettext(text) for text in self._spoken}, ensure_ascii=False)

    def _icon(self, name: str, pixels: int = 16) -> Markup:
        """An icon of the sprite (an unknown one: `app`). It says nothing to screen readers: give its button a name."""
        drawn = self._drawn.get((name, pixels))
        if drawn is None:
            drawn = self._drawn[name, pixels] = self._draw(name if name in self._icons else "app", pixels)
        return drawn

    def _draw(self, known: str, pixels: int) -> Markup:
        return Markup(
            '<svg class="icon" width="{0}" height="{0}" aria-hidden="true" focusable="false"><use href="{1}#{2}"/></svg>'
        ).format(pixels, self._assets.url("icons.svg"), known)
