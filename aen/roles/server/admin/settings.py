"""Settings: what administrators change while AEN runs. A stored setting comes before the configuration, until it is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from pydantic import Field, TypeAdapter, ValidationError

from aen.config.site import LEAST_DAYS
from aen.config.site import domain as email_domain
from aen.errors import AenError, Conflict, Invalid, NotFound
from aen.languages import N_
from aen.model import now
from aen.model.setting import Announcement, Setting
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Doc, Duplicate, Stale

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
_READ_AGAIN = 2.0  # seconds: how long another server's change may stay unseen here
_OLD_REGISTRATION = "registration"  # as AEN kept it before there were settings


@dataclass(frozen=True)
class Kind:
    """One thing that can be set. `name` is the option of the configuration that it comes before; some have none."""

    name: str
    title: str
    help: str
    type: Any
    own: Any = None  # what it is without a setting, where no option says so
    check: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class InForce:
    """What is in force, where it comes from, and what it would be without the setting."""

    kind: Kind
    value: Any
    configured: Any
    by: str = ""
    at: int = 0  # ms since 1970; 0: as configured


def _kept_days(given: int) -> int:
    """Raises Invalid: nobody takes away what was done in the last weeks."""
    if 0 < given < LEAST_DAYS:
        raise Invalid(f"Records are kept for at least {LEAST_DAYS} days, or for ever (0).")
    return given


_DAYS = Annotated[int, Field(ge=0, le=36_500)]
_COUNT = Annotated[int, Field(ge=0, le=1_000_000)]
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "server.registration.open",
            N_("Open registration"),
            N_(
                "Everybody who reaches this server may make an account, and with it start programs on its nodes. Otherwise administrators make accounts or send links."
            ),
            bool,
        ),
        Kind(
            "server.registration.domains",
            N_("Registration by domain"),
            N_(
                "Only e-mail addresses of these domains may register. With mail set up, the address is proved by a link first. Empty: any address."
            ),
            list[str],
            check=lambda given: [email_domain(text) for text in given],
        ),
        Kind(
            "new_projects.visibility",
            N_("New projects are"),
            N_("What a new project is unless its maker chooses: seen by its team alone, or by everybody."),
            Literal["private", "public"],
        ),
        Kind(
            "deletion.grace_days",
            N_("Deleted projects are kept, in days"),
            N_("So long their owners can have them back. 0: they are gone at once."),
            Annotated[int, Field(ge=0, le=365)],
        ),
        Kind(
            "sharing.links",
            N_("Links to files"),
            N_(
                "Members may share a file or folder outside the team by a link. When this is off, existing links show nothing."
            ),
            bool,
        ),
        Kind(
            "sharing.link_days",
            N_("A link lives, in days"),
            N_("The longest that people may choose."),
            Annotated[int, Field(ge=1, le=3650)],
        ),
        Kind(
            "sharing.dashboards",
            N_("Dashboards are for"),
            N_(
                "A dashboard's scripts run in the browsers of those who look. Where every project has an origin of its own they reach nothing else there; then members may show them to people outside the team, too."
            ),
            Literal["auto", "team", "signed_in"],
        ),
        Kind(
            "people.projects",
            N_("Projects of one person"),
            N_(
                "The most that one person may own; 0: as many as they like. On a person's page another number may stand."
            ),
            _COUNT,
        ),
        Kind(
            "people.sessions",
            N_("Sessions of one person"),
            N_("The most that one person may have at a time; 0: as many as they like. What runs already goes on."),
            _COUNT,
        ),
        Kind(
            "records.security_days",
            N_("The security log is kept, in days"),
            N_(
                "Older records are taken out once a day, and the log says so. 0: for ever. The last 30 days always stay, and days on which AEN did not run don't count."
            ),
            _DAYS,
            check=_kept_days,
        ),
        Kind(
            "records.activity_days",
            N_("What was done in projects is kept, in days"),
            N_("All other records: the activity of projects and of people. 0: for ever; else at least 30."),
            _DAYS,
            check=_kept_days,
        ),
        Kind(
            "mail.daily",
            N_("Daily report by mail"),
            N_("Staff and administrators get yesterday's figures every morning."),
            bool,
        ),
        Kind(
            "announcement",
            N_("Announcement"),
            N_("Stands on every page."),
            Announcement,
            own={"text": "", "level": "info", "until": 0},
        ),
    )
}


class Settings(Part):
    """The settings, kept in memory. `value` is cheap: it is asked on every page."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._kept: dict[str, Setting] = {}

    async def begin(self, service: Service) -> None:
        """Read them, and read them again for life: another server may change them."""
        await self._take_over()
        await self._read()
        service.spawn(self._read_for_life(), "settings")

    def value(self, name: str) -> Any:
        """What is in force. `name` is one of KINDS."""
        kept = self._kept.get(name)
        return self.configured(name) if kept is None else kept.value

    def configured(self, name: str) -> Any:
        """What the configuration says."""
        kind = KINDS[name]
        if kind.own is not None:
            return kind.own
        value: Any = self.domain.config
        for part in name.split("."):
            value = getattr(value, part)
        return value

    def announcement(self) -> Announcement | None:
        """What everybody is told now, or None."""
        told = Announcement.model_validate(self.value("announcement"))
        return told if told.text and (not told.until or told.until > now()) else None

    async def list(self, actor: Actor) -> list[InForce]:
        """All that can be set, for administrators."""
        check(actor, Permission.ADMIN)
        await self._read()
        return [self._in_force(kind) for kind in KINDS.values()]

    async def set(self, actor: Actor, name: str, value: Any) -> InForce:
        """Let `value` be in force from now on, for administrators. NotFound, Invalid, Conflict."""
        check(actor, Permission.ADMIN)
        kind = _kind(name)
        wanted = _checked(kind, value)
        await self._put(name, Setting(id=f"live:{name}", value=wanted, by=actor.name))
        shown = wanted["text"] if kind.type is Announcement else wanted
        await self.domain.activity.record(actor, "setting.changed", name, detail=str(shown), security=True)
        log.info("setting changed", setting=name, by=actor.name)
        return self._in_force(kind)

    async def take_back(self, actor: Actor, name: str) -> InForce:
        """As the configuration says from now on, for administrators. NotFound."""
        check(actor, Permission.ADMIN)
        kind = _kind(name)
        if await self.store.delete("settings", f"live:{name}"):
            await self.domain.activity.record(actor, "setting.taken_back", name, security=True)
        self._kept.pop(name, None)
        return self._in_force(kind)

    def _in_force(self, kind: Kind) -> InForce:
        kept = self._kept.get(kind.name)
        by, at = (kept.by, kept.at) if kept is not None else ("", 0)
        return InForce(kind, self.value(kind.name), self.configured(kind.name), by, at)

    async def _put(self, name: str, setting: Setting) -> None:
        stored = await self.store.get("settings", setting.id)
        doc = setting.model_dump(mode="json")
        try:
            if stored is None:
                stored = await self.store.insert("settings", doc)
            else:
                stored = await self.store.replace("settings", {**doc, "rev": stored["rev"]})
        except (Duplicate, Stale):
            raise Conflict("Another administrator changed this at the same moment. Look again.") from None
        self._kept[name] = Setting.model_validate(stored)

    async def _read(self) -> None:
        docs = await self.store.get_many("settings", [f"live:{name}" for name in KINDS])
        self._kept = {name: setting for name, setting in map(_read, docs) if setting is not None}

    async def _read_for_life(self) -> None:
        while True:
            await asyncio.sleep(_READ_AGAIN)
            try:
                await self._read()
            except AenError as error:
                log.warning("settings can't be read; those known stay in force", reason=error.message)

    async def _take_over(self) -> None:
        """What an older AEN stored of registration becomes a setting, once."""
        old = await self.store.get("settings", _OLD_REGISTRATION)
        if old is None:
            return
        setting = Setting(id="live:server.registration.open", value=bool(old["open"]), by="")
        try:
            await self.store.insert("settings", setting.model_dump(mode="json"))
        except Duplicate:
            log.info("registration was set anew already")
        await self.store.delete("settings", _OLD_REGISTRATION)


def _kind(name: str) -> Kind:
    kind = KINDS.get(name)
    if kind is None:
        raise NotFound(f"There is no setting {name[:60]!r}. These can be changed while AEN runs: {', '.join(KINDS)}.")
    return kind


def _checked(kind: Kind, value: Any) -> Any:
    """`value` in the form in which it is stored. Raises Invalid."""
    try:
        right = TypeAdapter(kind.type).validate_python(value, strict=True)
        right = kind.check(right) if kind.check else right
    except ValidationError as error:
        raise Invalid(f"{kind.name}: {error.errors()[0]['msg']}.") from None
    except ValueError as error:
        raise Invalid(f"{kind.name}: {error}.") from None
    return right.model_dump(mode="json") if isinstance(right, Announcement) else right


def _read(doc: Doc) -> tuple[str, Setting | None]:
    """A stored setting by its name; None when this AEN can't make sense of it: then the configuration counts."""
    name = str(doc["id"]).removeprefix("live:")
    try:
        setting = Setting.model_validate(doc)
        setting.value = _checked(KINDS[name], setting.value)
    except (ValidationError, Invalid) as error:
        log.error("a stored setting can't be read; the configuration counts", setting=name, reason=str(error))
        return name, None
    return name, setting
