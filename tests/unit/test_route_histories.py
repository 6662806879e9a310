"""Routes of gateways and servers, whatever is lost, late, told twice or restarted: in the end each gateway says what the servers say."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from aen.messages import ReadRoutes, RouteAdded, RouteRemoved, Routes
from aen.model.route import Route
from aen.proxy.routes import RouteTable
from aen.roles.gateway.histories import Histories
from aen.roles.gateway.whole import Whole
from aen.roles.server.session.route_history import History

SESSIONS, PEOPLE = ("s1", "s2", "s3", "s4", "s5"), ("alice", "bob", "carol")
PAGES = 600  # bytes: two routes or so
Event = RouteAdded | RouteRemoved
Fact = Route | tuple[str, int]  # it is there, or a session's generation has ended


def route_of(session: str, generation: int, users: list[str], upstream: str = "unix:/s") -> Route:
    return Route(
        session=session, generation=generation, owner="alice", project=session, project_id="p1", app_server="jupyter",
        user="alice", users=users, node="n1", upstream=upstream, uid=1, secret="launch-secret",
    )  # fmt: skip


@dataclass
class Server:
    """What a server of this version, or (`old`) of the one before, knows and says; `heard`: so many of all facts."""

    old: bool
    heard: int = 0
    there: dict[str, Route] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = History(PAGES, most_ended=3)

    def hear(self, facts: list[Fact]) -> Event | None:
        """The next fact; what is told of it."""
        fact, self.heard = facts[self.heard], self.heard + 1
        named = {} if self.old else {"history": self.history.id}
        if isinstance(fact, Route):
            if self.there.get(fact.session) == fact:
                return None
            self.there[fact.session] = fact
            number = self.history.put(fact)
            return RouteAdded(datacenter="main", route=fact, **named, number=number)
        session, generation = fact
        if session not in self.there:
            return None
        del self.there[session]
        number = self.history.end(session, generation)
        return RouteRemoved(datacenter="main", session=session, generation=generation, **named, number=number)

    def answer(self, command: ReadRoutes) -> Routes:
        return self.history.answer(command.model_copy(update={"known": None, "again": []}) if self.old else command)


class Gateway:
    """A gateway of this version, or of the one before: it asks in steps, between which other things happen."""

    def __init__(self, old: bool, known: list[Route]) -> None:
        self.old, self.table = old, RouteTable()
        for route in known:  # its snapshot
            self.table.add(route)
        self.histories, self.whole = Histories(self.table, self._forget), Whole(self.table, self._forget)
        self.asks = False
        self.begin()

    def begin(self) -> None:
        """From now on it asks for pages until there are no more."""
        self.histories.begin()
        self.whole.begin()

    def _forget(self, route: Route) -> None:
        assert route not in self.table.routes()

    def hear(self, event: Event) -> None:
        self.histories.hear(event.model_copy(update={"history": ""}) if self.old else event)

    def ask(self) -> ReadRoutes:
        self.asks = True
        command = self.whole.asking(self.histories.asking("main"))
        return command.model_copy(update={"known": None, "again": []}) if self.old else command

    def take(self, answer: Routes) -> bool:
        self.asks = False
        more = self.histories.take(answer) if answer.history else self.whole.take(answer)
        if not more:
            self.begin()
        return more

    def give_up(self) -> None:
        self.asks = False
        self.begin()

    def read(self, server: Server) -> int:
        """Ask this server for all that is new; in how many pages that came."""
        pages = 1
        while self.take(server.answer(self.ask())):
            pages += 1
            assert pages < 100, "reading does not end"
        return pages

    def says(self) -> dict[str, Route]:
        return {route.session: route for route in self.table.routes()}


class Interleavings(RuleBasedStateMachine):
    """Two servers that hear of the same things, each at its own pace, and two gateways of which one may be older."""

    servers: list[Server]
    gateways: list[Gateway]

    @initialize(old=st.lists(st.booleans(), min_size=4, max_size=4), several=st.booleans())
    def begin(self, old: list[bool], several: bool) -> None:
        self.facts: list[Fact] = []
        self.newest: dict[str, int] = {}
        self.servers = [Server(one) for one in old[: 2 if several else 1]]
        self.gateways = [Gateway(old[2], []), Gateway(old[3], [])]
        self.events: list[tuple[Gateway, Event]] = []
        self.answers: list[tuple[Gateway, Routes]] = []

    # ── what happens ────────────────────────────────────────────────────────────────────────────────

    @rule(
        session=st.sampled_from(SESSIONS),
        users=st.sets(st.sampled_from(PEOPLE), min_size=1),
        again=st.booleans(),
        port=st.booleans(),
    )
    def starts_or_changes(self, session: str, users: set[str], again: bool, port: bool) -> None:
        generation = self.newest.get(session, 0) + (0 if again and session in self.newest else 1)
        self.newest[session] = generation
        self.facts.append(route_of(session, generation, sorted(users), f"tcp:{int(port)}"))

    @rule(session=st.sampled_from(SESSIONS))
    def ends(self, session: str) -> None:
        if session in self.newest:
            self.facts.append((session, self.newest[session]))

    @rule(which=st.integers(0, 1), many=st.integers(1, 5))
    def server_hears(self, which: int, many: int) -> None:
        server = self.servers[which % len(self.servers)]
        for _ in range(min(many, len(self.facts) - server.heard)):
            event = server.hear(self.facts)
            self.events += [(gateway, event) for gateway in self.gateways] if event is not None else []

    @rule(project=st.just("p1"), user=st.sampled_from(PEOPLE), which=st.integers(0, 1))
    def is_expelled(self, project: str, user: str, which: int) -> None:
        self.gateways[which].table.expel(project, user)

    # ── what becomes of messages ────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.events)
    @rule(place=st.integers(0, 1000), twice=st.booleans())
    def event_arrives(self, place: int, twice: bool) -> None:
        gateway, event = self.events[place % len(self.events)] if twice else self.events.pop(place % len(self.events))
        gateway.hear(event)

    @precondition(lambda self: self.events)
    @rule()
    def all_arrive_in_order(self) -> None:
        for gateway, event in self.events:
            gateway.hear(event)
        self.events = []

    @precondition(lambda self: self.events)
    @rule(place=st.integers(0, 1000))
    def event_is_lost(self, place: int) -> None:
        self.events.pop(place % len(self.events))

    @rule(which=st.integers(0, 1), server=st.integers(0, 1))
    def gateway_asks(self, which: int, server: int) -> None:
        gateway = self.gateways[which]
        if not gateway.asks:
            answer = self.servers[server % len(self.servers)].answer(gateway.ask())
            self.answers.append((gateway, answer))

    @precondition(lambda self: self.answers)
    @rule(lost=st.booleans())
    def answer_arrives(self, lost: bool) -> None:
        gateway, answer = self.answers.pop(0)
        if lost:
            gateway.give_up()
        else:
            gateway.take(answer)

    # ── restarts ────────────────────────────────────────────────────────────────────────────────────

    @rule(which=st.integers(0, 1), old=st.booleans())
    def server_restarts(self, which: int, old: bool) -> None:
        """As another version perhaps. It answers when it knows what nodes tell."""
        server = Server(old)
        while server.heard < len(self.facts):
            server.hear(self.facts)
        self.servers[which % len(self.servers)] = server

    @rule(which=st.integers(0, 1), old=st.booleans())
    def gateway_restarts(self, which: int, old: bool) -> None:
        gone = self.gateways[which]
        self.gateways[which] = Gateway(old, gone.table.routes())
        self.events = [(gateway, event) for gateway, event in self.events if gateway is not gone]
        self.answers = [(gateway, answer) for gateway, answer in self.answers if gateway is not gone]

    @precondition(lambda self: len(self.servers) == 2)
    @rule()
    def server_goes_for_ever(self) -> None:
        self.servers.pop()

    def teardown(self) -> None:
        """No more happens, and each server is asked once more."""
        if not hasattr(self, "facts"):
            return
        for server in self.servers:
            while server.heard < len(self.facts):
                server.hear(self.facts)  # and each of these events is lost
        for gateway in self.gateways:
            gateway.give_up()
            for server in [*self.servers, *self.servers]:
                gateway.read(server)
            for server in self.servers:
                assert gateway.says() == server.there


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=300, stateful_step_count=40)


def test_only_what_is_new_is_told() -> None:
    server, gateway = Server(old=False), Gateway(False, [])
    facts: list[Fact] = [route_of(f"s{number:03}", 1, ["alice"]) for number in range(100)]
    while server.heard < len(facts):
        server.hear(facts)
    assert gateway.read(server) > 10
    facts += [("s050", 1), route_of("s060", 2, ["bob"])]
    server.hear(facts)
    server.hear(facts)
    answer = server.answer(gateway.ask())
    assert ([one.session for one in answer.ended], [one.session for one in answer.routes]) == (["s050"], ["s060"])
    assert not gateway.take(answer)
    assert gateway.says() == server.there
    assert server.answer(gateway.ask()) == Routes(version="", history=server.history.id, since=103, number=103)


@pytest.mark.parametrize("changes", [1, 3])
def test_reading_ends_although_something_changes_after_each_page(changes: int) -> None:
    """Two routes a page, fifty of them, and as many changes as a page holds: never from the beginning, and right at the end."""
    server, gateway = Server(old=False), Gateway(False, [route_of("gone", 1, ["alice"])])
    facts: list[Fact] = [route_of(f"s{number:02}", 1, ["alice"]) for number in range(50)]
    while server.heard < len(facts):
        server.hear(facts)
    pages, more = 0, True
    while more:
        more = gateway.take(server.answer(gateway.ask()))
        pages += 1
        for number in range(changes if pages < 50 else 0):
            facts.append(route_of(f"s{(pages * 7 + number) % 50:02}", 1 + pages, ["bob"]))
            server.hear(facts)
    assert pages < 120
    gateway.read(server)
    assert gateway.says() == server.there


def test_a_gap_is_noticed() -> None:
    server, gateway = Server(old=False), Gateway(False, [])
    facts: list[Fact] = [route_of("s1", 1, ["alice"]), route_of("s2", 1, ["alice"]), route_of("s3", 1, ["alice"])]
    first = server.hear(facts)
    gateway.read(server)
    second, third = server.hear(facts), server.hear(facts)
    assert first is not None
    assert second is not None
    assert third is not None
    gateway.hear(first)
    assert not gateway.histories.behind
    gateway.hear(third)
    assert gateway.histories.behind
    assert set(gateway.says()) == {"s1", "s3"}, "what is heard counts at once"
    gateway.hear(second)
    assert not gateway.histories.behind, "they only came in another order"


def test_an_answer_from_before_an_event_does_not_undo_it() -> None:
    server, gateway = Server(old=False), Gateway(False, [])
    facts: list[Fact] = [route_of("s1", 1, ["alice"]), route_of("s2", 1, ["alice"]), ("s1", 1)]
    server.hear(facts)
    answer = server.answer(gateway.ask())
    lost, gone = server.hear(facts), server.hear(facts)
    assert lost is not None
    assert gone is not None
    gateway.hear(gone)
    gateway.take(answer)
    assert gateway.says() == {}
    gateway.read(server)
    assert gateway.says() == server.there


def test_who_was_away_for_longer_than_ends_are_remembered_reads_all() -> None:
    server, gateway = Server(old=False), Gateway(False, [])
    facts: list[Fact] = [route_of(f"s{number}", 1, ["alice"]) for number in range(8)]
    while server.heard < len(facts):
        server.hear(facts)
    gateway.read(server)
    facts += [(f"s{number}", 1) for number in range(6)]
    while server.heard < len(facts):
        server.hear(facts)
    gateway.read(server)
    assert gateway.says() == server.there
    assert len(server.there) == 2
