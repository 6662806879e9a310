"""Rights: what each person of a team may do with one file or folder of a project."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from aen.model import Word

#: Some of rwx, in this order: read, change, run (a folder: enter).
Letters = Annotated[str, StringConstraints(pattern=r"^r?w?x?$")]


class PersonRights(Word):
    """One person: what they have (`given`), and the most that their role gives. Who `owns` it can change that again."""

    user: str
    role: str
    most: Letters
    given: Letters
    owns: bool = False


class PathRights(Word):
    """One file or folder. `closed`: who joins the team later gets nothing. `theirs`: inodes left as they are, by owner."""

    directory: bool
    owner: str
    public: bool = False
    closed: bool = False
    people: list[PersonRights] = Field(default_factory=list)
    changed: int = 0
    theirs: dict[str, int] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)


class RightsWish(Word):
    """What people are to have there; who is left out has what their role gives. `dry`: only say what it would do."""

    rights: dict[str, Letters] = Field(default_factory=dict, max_length=2000)
    closed: bool = False
    contents: bool = False  # with all in the folder, and what is made there later
    dry: bool = False
