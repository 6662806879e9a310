"""Domain: everything the server knows and decides, in parts that reach each other through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from aen.bus import Bus
from aen.config import Config
from aen.service import Service
from aen.store import Store

if TYPE_CHECKING:
    from aen.roles.server.accounts import Accounts
    from aen.roles.server.acting import Acting
    from aen.roles.server.activity import ActivityLog
    from aen.roles.server.admitting import Admitting
    from aen.roles.server.archives import Archives
    from aen.roles.server.company import Company
    from aen.roles.server.daily import Daily
    from aen.roles.server.environments import Environments
    from aen.roles.server.errands import Errands
    from aen.roles.server.events import Events
    from aen.roles.server.examined import Examined
    from aen.roles.server.faults import Faults
    from aen.roles.server.gateways import Gateways
    from aen.roles.server.indexing import Indexing
    from aen.roles.server.jobs import Jobs
    from aen.roles.server.joining import Joining
    from aen.roles.server.keys import Keys
    from aen.roles.server.leaving import Leaving
    from aen.roles.server.loads import Loaded
    from aen.roles.server.mail import Mails
    from aen.roles.server.members import Members
    from aen.roles.server.node_leases import NodeLeases
    from aen.roles.server.nodes import Nodes
    from aen.roles.server.notices import Notices
    from aen.roles.server.overseeing import Overseeing
    from aen.roles.server.projects import Projects
    from aen.roles.server.publications import Publications
    from aen.roles.server.refusals import Refusals
    from aen.roles.server.related import RelatedProjects
    from aen.roles.server.revisions import Revisions
    from aen.roles.server.revocations import Revocations
    from aen.roles.server.schedules import Schedules
    from aen.roles.server.search import Search
    from aen.roles.server.security import Security
    from aen.roles.server.sessions import Sessions
    from aen.roles.server.settings import Settings
    from aen.roles.server.shares import Shares
    from aen.roles.server.spaces import Spaces
    from aen.roles.server.tags import Tags
    from aen.roles.server.team import Team
    from aen.roles.server.teamlinks import TeamLinks
    from aen.tickets import Signer


class Part:
    """One part of the domain. It opens nothing by itself when it is made."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain

    @property
    def store(self) -> Store:
        """The server's store."""
        return self.domain.store

    @property
    def bus(self) -> Bus:
        """The bus."""
        return self.domain.bus

    async def begin(self, service: Service) -> None:
        """Called once at start, in the order of `Domain.PARTS`: respond on the bus, load caches, `service.spawn` loops.

        Subscriptions are left with `service.enter` or cancelled by `service`'s end.
        """


class Domain:
    """The parts and what they stand on. Every verb of a part checks the actor's permission itself and raises AenErrors."""

    #: Attribute → (module, class), in the order in which they begin.
    PARTS = (
        ("company", "company", "Company"),
        ("events", "events", "Events"),
        ("activity", "activity", "ActivityLog"),
        ("refusals", "refusals", "Refusals"),
        ("settings", "settings", "Settings"),
        ("mail", "mail", "Mails"),
        ("faults", "faults", "Faults"),
        ("revocations", "revocations", "Revocations"),
        ("accounts", "accounts", "Accounts"),
        ("jobs", "jobs", "Jobs"),
        ("members", "members", "Members"),
        ("nodes", "nodes", "Nodes"),
        ("node_leases", "node_leases", "NodeLeases"),
        ("joining", "joining", "Joining"),
        ("examined", "examined", "Examined"),
        ("projects", "projects", "Projects"),
        ("team", "team", "Team"),
        ("admitting", "admitting", "Admitting"),
        ("sessions", "sessions", "Sessions"),
        ("shares", "shares", "Shares"),
        ("spaces", "spaces", "Spaces"),
        ("environments", "environments", "Environments"),
        ("errands", "errands", "Errands"),
        ("revisions", "revisions", "Revisions"),
        ("schedules", "schedules", "Schedules"),
        ("publications", "publications", "Publications"),
        ("gateways", "gateways", "Gateways"),
        ("tags", "tags", "Tags"),
        ("teamlinks", "teamlinks", "TeamLinks"),
        ("indexing", "indexing", "Indexing"),
        ("search", "search", "Search"),
        ("related", "related", "RelatedProjects"),
        ("archives", "archives", "Archives"),
        ("keys", "keys", "Keys"),
        ("leaving", "leaving", "Leaving"),
        ("acting", "acting", "Acting"),
        ("overseeing", "overseeing", "Overseeing"),
        ("security", "security", "Security"),
        ("loads", "loads", "Loaded"),
        ("daily", "daily", "Daily"),
        ("notices", "notices", "Notices"),
    )

    company: Company
    events: Events
    activity: ActivityLog
    refusals: Refusals
    settings: Settings
    mail: Mails
    faults: Faults
    revocations: Revocations
    accounts: Accounts
    jobs: Jobs
    members: Members
    nodes: Nodes
    node_leases: NodeLeases
    joining: Joining
    examined: Examined
    projects: Projects
    team: Team
    admitting: Admitting
    sessions: Sessions
    shares: Shares
    spaces: Spaces
    environments: Environments
    errands: Errands
    revisions: Revisions
    schedules: Schedules
    publications: Publications
    gateways: Gateways
    tags: Tags
    teamlinks: TeamLinks
    indexing: Indexing
    search: Search
    related: RelatedProjects
    archives: Archives
    keys: Keys
    leaving: Leaving
    acting: Acting
    overseeing: Overseeing
    security: Security
    loads: Loaded
    daily: Daily
    notices: Notices

    def __init__(
        self, config: Config, store: Store, bus: Bus, signer: Signer, roles: tuple[str, ...] = ("server",)
    ) -> None:
        """`roles` are those of this node: with gateway among them, its data center is ours to record."""
        from importlib import import_module  # parts import this module: they are looked up when a domain is made

        self.config = config
        self.store = store
        self.bus = bus
        self.signer = signer
        self.roles = roles
        for attribute, module, name in self.PARTS:
            part: Any = getattr(import_module(f"aen.roles.server.{module}"), name)(self)
            setattr(self, attribute, part)

    async def open(self, service: Service) -> None:
        """Begin every part, in order."""
        for attribute, _, _ in self.PARTS:
            begin = getattr(getattr(self, attribute), "begin", None)
            if begin is not None:
                await begin(service)


DOMAIN: web.AppKey[Domain] = web.AppKey("domain", Domain)
