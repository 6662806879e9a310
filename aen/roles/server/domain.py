"""Domain: everything the server knows and decides, in parts that reach each other through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from aen.bus import Bus
from aen.config import Config
from aen.roles.server.seen import Seen
from aen.service import Service
from aen.store import Store
from aen.web.markdown import Descriptions

if TYPE_CHECKING:
    from aen.roles.server.account.accounts import Accounts
    from aen.roles.server.account.acting import Acting
    from aen.roles.server.account.allowances import Allowances
    from aen.roles.server.account.keys import Keys
    from aen.roles.server.account.leaving import Leaving
    from aen.roles.server.account.linux import LinuxAccounts
    from aen.roles.server.account.pictures import Pictures
    from aen.roles.server.account.refusals import Refusals
    from aen.roles.server.account.revocations import Revocations
    from aen.roles.server.admin.activity import ActivityLog
    from aen.roles.server.admin.daily import Daily
    from aen.roles.server.admin.faults import Faults
    from aen.roles.server.admin.mail import Mails
    from aen.roles.server.admin.notices import Notices
    from aen.roles.server.admin.overseeing import Overseeing
    from aen.roles.server.admin.retention import Retention
    from aen.roles.server.admin.security import Security
    from aen.roles.server.admin.settings import Settings
    from aen.roles.server.company import Company
    from aen.roles.server.events import Events
    from aen.roles.server.indexing import Indexing
    from aen.roles.server.job.jobs import Jobs
    from aen.roles.server.node.examined import Examined
    from aen.roles.server.node.joining import Joining
    from aen.roles.server.node.leases import NodeLeases
    from aen.roles.server.node.loads import Loaded
    from aen.roles.server.node.members import Members
    from aen.roles.server.node.nodes import Nodes
    from aen.roles.server.project.archives import Archives
    from aen.roles.server.project.environments import Environments
    from aen.roles.server.project.grace import Grace
    from aen.roles.server.project.presence import Presence
    from aen.roles.server.project.projects import Projects
    from aen.roles.server.project.related import RelatedProjects
    from aen.roles.server.project.shares import Shares
    from aen.roles.server.project.spaces import Spaces
    from aen.roles.server.project.tags import Tags
    from aen.roles.server.project.team import Team
    from aen.roles.server.project.teamlinks import TeamLinks
    from aen.roles.server.publishing.dashboards import Dashboards
    from aen.roles.server.publishing.errands import Errands
    from aen.roles.server.publishing.publications import Publications
    from aen.roles.server.publishing.revisions import Revisions
    from aen.roles.server.publishing.schedules import Schedules
    from aen.roles.server.search import Search
    from aen.roles.server.session.admitting import Admitting
    from aen.roles.server.session.gateways import Gateways
    from aen.roles.server.session.sessions import Sessions
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
        ("activity", "admin.activity", "ActivityLog"),
        ("refusals", "account.refusals", "Refusals"),
        ("settings", "admin.settings", "Settings"),
        ("mail", "admin.mail", "Mails"),
        ("faults", "admin.faults", "Faults"),
        ("revocations", "account.revocations", "Revocations"),
        ("accounts", "account.accounts", "Accounts"),
        ("linux", "account.linux", "LinuxAccounts"),
        ("pictures", "account.pictures", "Pictures"),
        ("jobs", "job.jobs", "Jobs"),
        ("members", "node.members", "Members"),
        ("nodes", "node.nodes", "Nodes"),
        ("node_leases", "node.leases", "NodeLeases"),
        ("joining", "node.joining", "Joining"),
        ("examined", "node.examined", "Examined"),
        ("projects", "project.projects", "Projects"),
        ("presence", "project.presence", "Presence"),
        ("grace", "project.grace", "Grace"),
        ("team", "project.team", "Team"),
        ("admitting", "session.admitting", "Admitting"),
        ("dashboards", "publishing.dashboards", "Dashboards"),
        ("sessions", "session.sessions", "Sessions"),
        ("shares", "project.shares", "Shares"),
        ("spaces", "project.spaces", "Spaces"),
        ("allowances", "account.allowances", "Allowances"),
        ("environments", "project.environments", "Environments"),
        ("errands", "publishing.errands", "Errands"),
        ("revisions", "publishing.revisions", "Revisions"),
        ("schedules", "publishing.schedules", "Schedules"),
        ("publications", "publishing.publications", "Publications"),
        ("gateways", "session.gateways", "Gateways"),
        ("tags", "project.tags", "Tags"),
        ("teamlinks", "project.teamlinks", "TeamLinks"),
        ("indexing", "indexing", "Indexing"),
        ("search", "search", "Search"),
        ("related", "project.related", "RelatedProjects"),
        ("archives", "project.archives", "Archives"),
        ("keys", "account.keys", "Keys"),
        ("leaving", "account.leaving", "Leaving"),
        ("acting", "account.acting", "Acting"),
        ("overseeing", "admin.overseeing", "Overseeing"),
        ("security", "admin.security", "Security"),
        ("retention", "admin.retention", "Retention"),
        ("loads", "node.loads", "Loaded"),
        ("daily", "admin.daily", "Daily"),
        ("notices", "admin.notices", "Notices"),
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
    linux: LinuxAccounts
    pictures: Pictures
    jobs: Jobs
    members: Members
    nodes: Nodes
    node_leases: NodeLeases
    joining: Joining
    examined: Examined
    projects: Projects
    presence: Presence
    grace: Grace
    team: Team
    admitting: Admitting
    dashboards: Dashboards
    sessions: Sessions
    shares: Shares
    spaces: Spaces
    allowances: Allowances
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
    retention: Retention
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
        self.seen = Seen()
        self.descriptions = Descriptions()
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
