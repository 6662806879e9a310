"""Dashboard: a program of a project that others open in their browser: deployed once, run as who deployed it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aen.model import Word, now


class Kind(StrEnum):
    """What runs it."""

    VOILA = "voila"
    PANEL = "panel"
    STREAMLIT = "streamlit"


#: What a file of that kind is called.
ENDINGS: dict[Kind, tuple[str, ...]] = {
    Kind.VOILA: (".ipynb",),
    Kind.PANEL: (".py", ".ipynb", ".md"),
    Kind.STREAMLIT: (".py",),
}


class Watchers(StrEnum):
    """Who may view it besides those who are named."""

    TEAM = "team"
    SIGNED_IN = "signed_in"


class Dashboard(Word):
    """One of a project. Its address stays while it is changed; `people` may view it without being in the team."""

    id: str
    title: str
    kind: Kind
    path: str  # below the project's directory, percent-encoded
    environment: str = ""  # empty: the active one
    user: str  # who deployed it, and as whom it runs
    incarnation: str = ""
    watchers: Watchers = Watchers.TEAM
    people: list[str] = Field(default_factory=list)
    created: int = Field(default_factory=now)
