"""Search: projects, people, tags and files by words, as the asker may see them at this moment; searches that people keep."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.model import new_id
from aen.model.content import Content, SavedSearch
from aen.model.project import Project
from aen.roles.server.account import directory
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check, may_see
from aen.store import Query

KINDS = ("projects", "people", "tags", "files")
MOST = 200  # results of one kind: who needs more needs more words
LONGEST = 200  # characters of a search
_LOOKED_AT = 600  # files that are looked through for those that the asker may see
_MOST_SAVED = 30
_AROUND = 70  # characters of a file's text shown on each side of a hit
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Hit:
    """One result. `snippet` is text before, the hit, and text after it."""

    kind: str
    title: str
    address: str
    detail: str = ""
    snippet: tuple[str, str, str] = ("", "", "")
    project: Project | None = None
    number: int = 0  # of a tag: how many projects bear it


@dataclass(frozen=True)
class Results:
    """One page of one kind, and how many there are of each (at most `MOST`)."""

    kind: str
    hits: list[Hit]
    counts: dict[str, int] = field(default_factory=dict)
    next: str = ""


class Search(Part):
    """The one search. What somebody may not see is not looked at twice: neither listed nor counted."""

    async def suggest(self, actor: Actor, text: str) -> list[Hit]:
        """The best few of each kind for what is being typed."""
        check(actor, Permission.SIGNED_IN)
        words = _words(text)
        if not words:
            return []
        projects, people, tags, files = await asyncio.gather(
            self._projects(actor, words, 30),
            self._people(actor, words, 4),
            self._tags(actor, text, 4),
            self._files(actor, words, 120),
        )
        return [*projects[:5], *people, *tags, *files[:5]]

    async def find(self, actor: Actor, text: str, kind: str = "", limit: int = 20, cursor: str = "") -> Results:
        """One page of results of a kind (the first with any, if none is asked for). Raises Invalid."""
        check(actor, Permission.SIGNED_IN)
        if kind and kind not in KINDS:
            raise Invalid(f"There is no kind {kind[:20]!r}: use one of {', '.join(KINDS)}.")
        words, at = _words(text), _place(cursor)
        found = {
            "projects": await self._projects(actor, words, MOST),
            "people": await self._people(actor, words, MOST),
            "tags": await self._tags(actor, text, MOST),
            "files": (await self._files(actor, words, _LOOKED_AT))[:MOST],
        }
        shown = kind or next((name for name in KINDS if found[name]), "projects")
        page = found[shown][at : at + limit]
        following = str(at + limit) if at + limit < len(found[shown]) else ""
        return Results(shown, page, {name: len(hits) for name, hits in found.items()}, following)

    # ── kinds ───────────────────────────────────────────────────────────────────────────────────────

    async def _projects(self, actor: Actor, words: str, most: int) -> list[Hit]:
        if not words:
            return []
        found: dict[str, Project] = {}
        streams = (None,) if actor.admin else (("members", actor.name), ("visibility", "public"))
        for docs in await asyncio.gather(*(self.store.search("projects", words, one, most) for one in streams)):
            for doc in docs:
                found.setdefault(doc["id"], self.domain.seen.read(Project, doc))
        seen = [one for one in found.values() if may_see(actor, one) and not one.going]
        name = words.split()[-1]
        seen.sort(key=lambda one: (not one.name.startswith(name), actor.name not in one.members, -one.stars))
        return [Hit("projects", one.slug, f"/{quote(one.slug)}", one.summary, project=one) for one in seen[:most]]

    async def _people(self, actor: Actor, words: str, most: int) -> list[Hit]:
        if not words:
            return []
        found, _ = await directory.people(self.domain, actor, words, most)
        return [Hit("people", one.called, f"/people/{quote(one.id)}", one.id) for one in found]

    async def _tags(self, actor: Actor, text: str, most: int) -> list[Hit]:
        beginning = text.strip().lower().lstrip("#")[:40]
        if not beginning:
            return []
        found = await self.domain.tags.counts(actor, beginning, most)
        return [Hit("tags", tag, f"/?show=all&tag={quote(tag)}", number=number) for tag, number in found]

    async def _files(self, actor: Actor, words: str, most: int) -> list[Hit]:
        """Files of projects whose team the actor is in now, if the files' own permissions let them read."""
        if actor.user is None or not words or not self.domain.indexing.on:
            return []
        docs = await self.store.search("contents", words, ("readers", actor.user.id), most)
        ids = list(dict.fromkeys(doc["project"] for doc in docs))
        projects = {
            doc["id"]: self.domain.seen.read(Project, doc)
            for doc in await self.store.get_many("projects", ids, shared=True)
        }
        hits = []
        for doc in docs:
            content, project = Content.model_validate(doc), projects.get(doc["project"])
            if project is not None and _in_team(actor, project):
                hits.append(_file_hit(content, project, words.split()))
        return hits

    # ── kept searches ───────────────────────────────────────────────────────────────────────────────

    async def saved(self, actor: Actor) -> list[SavedSearch]:
        """The actor's own, newest first."""
        check(actor, Permission.SIGNED_IN)
        if actor.user is None:
            return []
        own = (("user", actor.user.id),)
        query = Query(own, actor.since, sort="created", descending=True, limit=_MOST_SAVED, shared=True)
        return [self.domain.seen.read(SavedSearch, doc) for doc in (await self.store.find("searches", query)).items]

    async def save(self, actor: Actor, text: str, kind: str = "", title: str = "") -> SavedSearch:
        """Keep a search on one's home page; the same one twice is once. Raises Invalid, Conflict (30 are the most)."""
        check(actor, Permission.ACCOUNT)
        if actor.user is None:
            raise Denied("Only people keep searches.")
        if not _words(text):
            raise Invalid("Say what to search for.")
        if kind and kind not in KINDS:
            raise Invalid(f"There is no kind {kind[:20]!r}: use one of {', '.join(KINDS)}.")
        known = await self.saved(actor)
        same = next((one for one in known if (one.words, one.kind) == (text.strip()[:LONGEST], kind)), None)
        if same is not None:
            return same
        if len(known) >= _MOST_SAVED:
            raise Conflict(f"You keep {_MOST_SAVED} searches already: remove one first.")
        words = " ".join(text.split())[:LONGEST]
        kept = SavedSearch(
            id=new_id(), user=actor.user.id, title=" ".join(title.split())[:80] or words, words=words, kind=kind
        )
        return SavedSearch.model_validate(await self.store.insert("searches", kept.model_dump(mode="json")))

    async def forget(self, actor: Actor, id: str) -> None:
        """Remove one of one's own. NotFound."""
        check(actor, Permission.ACCOUNT)
        if id not in [one.id for one in await self.saved(actor)]:
            raise NotFound("You keep no such search.")
        await self.store.delete("searches", id)

    async def forget_all(self, user: str) -> None:
        """The person is removed. For the server itself."""
        async for doc in every(self.store, "searches", Query((("user", user),), sort="created")):
            await self.store.delete("searches", doc["id"])


def _in_team(actor: Actor, project: Project) -> bool:
    return project.role_of(actor.name) is not None and not project.going


def _file_hit(content: Content, project: Project, words: Sequence[str]) -> Hit:
    address = f"/{quote(project.slug)}/file?path={quote(content.path, safe='')}"
    return Hit("files", content.path, address, project.slug, _snippet(content.text, words), project)


def _snippet(text: str, words: Sequence[str]) -> tuple[str, str, str]:
    """The place of the first word that is found as it was typed; nothing when only the path fits."""
    low = text.lower()
    places = [(low.find(word), word) for word in words]
    at, word = min((one for one in places if one[0] >= 0), default=(-1, ""))
    if at < 0:
        return "", "", ""
    end = at + len(word)
    before, after = text[max(0, at - _AROUND) : at], text[end : end + _AROUND]
    return " ".join(before.split(" ")).replace("\n", " "), text[at:end], after.replace("\n", " ")


def _words(text: str) -> str:
    """What is searched for: words in lower case."""
    return " ".join(_WORD.findall(text[:LONGEST].lower()))


def _place(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 4):
        raise Invalid("This is not a cursor of this list: begin again without one.")
    return int(cursor)
