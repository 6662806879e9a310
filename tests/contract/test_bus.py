"""The bus's contract, held by every carrier. A new carrier adds one entry to CARRIERS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from aen import names
from aen.bus import MAX_PAYLOAD, Bus
from aen.bus.local import LocalBus
from aen.bus.receiving import REMEMBERED
from aen.errors import KINDS, AenError, Conflict, Internal, Invalid, TimedOut, TooMany, Unavailable
from aen.messages import Command, Done, Event
from aen.messages.kinds import PROTOCOL
from aen.model import Word
from tests.brokers import managed_bus, nats_bus

#: Each makes a bus that is not yet open.
CARRIERS: dict[str, Callable[[], AbstractAsyncContextManager[Bus]]] = {
    "local": LocalBus,
    "nats": nats_bus,
    "managed": managed_bus,
}

AT = names.address("compute", "n1.example.org")
bound: ContextVar[str] = ContextVar("bound", default="")


class Counted(Event):
    """A test event."""

    number: int
    text: str = ""


class Other(Event):
    """A test event of another kind."""


class Twice(Word):
    """The answer to Double."""

    number: int
    text: str = ""


class Double(Command):
    """A test command."""

    answer: ClassVar[type[Word]] = Twice
    number: int
    text: str = ""


class Act(Command):
    """A test command that is answered by Done."""

    answer: ClassVar[type[Word]] = Done


@pytest.fixture(params=sorted(CARRIERS))
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    async with CARRIERS[request.param]() as made:
        yield made


async def double(command: Double) -> Word:
    return Twice(number=command.number * 2)


async def test_a_request_gets_its_answer(bus: Bus) -> None:
    bus.respond(AT, Double, double)
    answer = await bus.request(AT, Double(number=21))
    assert answer == Twice(number=42)


async def test_what_arrives_is_a_copy(bus: Bus) -> None:
    got: list[Double] = []
    reply = Twice(number=1)

    async def keep(command: Double) -> Word:
        got.append(command)
        return reply

    bus.respond(AT, Double, keep)
    asked = Double(number=1)
    answer = await bus.request(AT, asked)
    assert got == [asked]
    assert got[0] is not asked
    assert answer == reply
    assert answer is not reply


async def test_nobody_there_is_unavailable_at_once(bus: Bus) -> None:
    bus.respond(AT, Act, _done)
    for address in (AT, "server", names.address("compute", "n1")):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(bus.request(address, Double(number=1), timeout=3600), 5)


async def test_after_cancel_nobody_is_there(bus: Bus) -> None:
    subscription = bus.respond(AT, Double, double)
    subscription.cancel()
    subscription.cancel()
    with pytest.raises(Unavailable):
        await bus.request(AT, Double(number=1))
    bus.respond(AT, Double, double)
    assert await bus.request(AT, Double(number=2)) == Twice(number=4)


@pytest.mark.parametrize("code", sorted(KINDS))
async def test_errors_arrive_as_themselves(bus: Bus, code: str) -> None:
    raised = KINDS[code]("what, why, and what to do", retry_after=2.5)

    async def fail(command: Act) -> Word:
        raise raised

    bus.respond(AT, Act, fail)
    with pytest.raises(AenError) as caught:
        await bus.request(AT, Act())
    assert type(caught.value) is KINDS[code]
    assert (caught.value.message, caught.value.id, caught.value.retry_after) == (raised.message, raised.id, 2.5)


async def test_a_kind_of_conflict_arrives_as_conflict(bus: Bus) -> None:
    class Special(Conflict):
        pass

    async def fail(command: Act) -> Word:
        raise Special("special")

    bus.respond(AT, Act, fail)
    with pytest.raises(Conflict, match="special"):
        await bus.request(AT, Act())


async def test_an_unknown_exception_is_internal_with_an_id_that_is_logged(bus: Bus) -> None:
    async def fail(command: Act) -> Word:
        raise ZeroDivisionError("the password is hunter2")

    bus.respond(AT, Act, fail)
    with capture_logs() as logs, pytest.raises(Internal) as caught:
        await bus.request(AT, Act())
    assert "hunter2" not in caught.value.message
    assert [entry["id"] for entry in logs if entry["log_level"] == "error"] == [caught.value.id]


async def test_no_answer_in_time_is_timed_out_and_the_work_goes_on(bus: Bus) -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def slow(command: Act) -> Word:
        await go.wait()
        done.set()
        return Done()

    bus.respond(AT, Act, slow)
    command = Act()
    with pytest.raises(TimedOut):
        await bus.request(AT, command, timeout=0.05)
    go.set()
    await asyncio.wait_for(done.wait(), 5)
    assert await bus.request(AT, command) == Done()


async def test_each_request_is_answered_in_its_own_task(bus: Bus) -> None:
    arrived = 0
    all_here = asyncio.Event()

    async def meet(command: Double) -> Word:
        nonlocal arrived
        arrived += 1
        if arrived == 50:
            all_here.set()
        await all_here.wait()
        return Twice(number=command.number)

    bus.respond(AT, Double, meet)
    answers = await asyncio.gather(*(bus.request(AT, Double(number=n)) for n in range(50)))
    assert [answer.number for answer in answers] == list(range(50))


async def test_a_responder_may_ask_on_the_same_bus(bus: Bus) -> None:
    async def ask_on(command: Double) -> Word:
        answer: Word = await bus.request("server", Double(number=command.number + 1))
        return answer

    bus.respond(AT, Double, ask_on)
    bus.respond("server", Double, double)
    assert await bus.request(AT, Double(number=1)) == Twice(number=4)


async def test_a_command_seen_before_is_answered_as_before(bus: Bus) -> None:
    calls = 0

    async def count(command: Double) -> Word:
        nonlocal calls
        calls += 1
        return Twice(number=calls)

    bus.respond(AT, Double, count)
    command = Double(number=1)
    first, second = await bus.request(AT, command), await bus.request(AT, command)
    assert first == second == Twice(number=1)
    assert await bus.request(AT, Double(number=1)) == Twice(number=2)


async def test_a_command_that_failed_fails_as_before(bus: Bus) -> None:
    calls = 0

    async def fail(command: Act) -> Word:
        nonlocal calls
        calls += 1
        raise TooMany("enough", retry_after=calls)

    bus.respond(AT, Act, fail)
    command = Act()
    for _ in range(2):
        with pytest.raises(TooMany) as caught:
            await bus.request(AT, command)
        assert caught.value.retry_after == 1
    assert calls == 1


async def test_asked_again_while_the_first_runs_awaits_the_same(bus: Bus) -> None:
    calls = 0
    go = asyncio.Event()

    async def slow(command: Double) -> Word:
        nonlocal calls
        calls += 1
        await go.wait()
        return Twice(number=calls)

    bus.respond(AT, Double, slow)
    command = Double(number=1)
    first = asyncio.create_task(bus.request(AT, command))
    await _until(lambda: calls == 1)
    second = asyncio.create_task(bus.request(AT, command))
    with pytest.raises(TimedOut):
        await bus.request(AT, command, timeout=0.05)
    first.cancel()  # an asker who goes away ends neither the work nor the others' wait
    go.set()
    assert await second == Twice(number=1)
    assert calls == 1


async def test_what_is_remembered_is_bounded(bus: Bus) -> None:
    calls = 0

    async def count(command: Double) -> Word:
        nonlocal calls
        calls += 1
        return Twice(number=calls)

    bus.respond(AT, Double, count)
    oldest = Double(number=0)
    await bus.request(AT, oldest)
    newest = oldest
    for _ in range(REMEMBERED + 1):
        newest = Double(number=0)
        await bus.request(AT, newest)
    before = calls
    await bus.request(AT, newest)
    assert calls == before
    await bus.request(AT, oldest)
    assert calls == before + 1


class Newer(Double):
    """A `Double` as the next version has it: with one field more, and one more inside."""

    more: str = "unknown to the version before"


class NewerTwice(Twice):
    """Its answer, likewise."""

    more: int = 1


async def test_versions_side_by_side(bus: Bus) -> None:
    """While nodes are upgraded one after the other, each leaves out what it does not know yet."""
    Newer.answer = NewerTwice
    Newer.__name__ = Double.__name__  # the same message, in two versions

    async def old(command: Double) -> Word:
        return Twice(number=command.number * 2)

    async def new(command: Newer) -> Word:
        assert command.more == "unknown to the version before"
        return NewerTwice(number=command.number * 2)

    first = bus.respond(AT, Double, old)
    asked_by_the_new = await bus.request(AT, Newer(number=4))
    assert (asked_by_the_new.number, asked_by_the_new.more) == (8, 1)
    first.cancel()
    bus.respond(AT, Newer, new)
    asked_by_the_old = await bus.request(AT, Double(number=4))
    assert asked_by_the_old == Twice(number=8)


async def test_a_version_that_is_not_understood_is_refused_and_says_so(bus: Bus) -> None:
    async def double(command: Double) -> Word:
        return Twice(number=command.number * 2)

    bus.respond(AT, Double, double)
    with pytest.raises(Invalid, match=f"version {PROTOCOL + 1} of AEN's messages.* upgrade"):
        await bus.request(AT, Double(number=4, protocol=PROTOCOL + 1))
    assert (await bus.request(AT, Double(number=4, protocol=PROTOCOL - 1))).number == 8


async def test_the_payload_is_bounded(bus: Bus) -> None:
    async def long(command: Double) -> Word:
        return Twice(number=0, text="x" * command.number)

    bus.respond(AT, Double, long)
    fits = await bus.request(AT, Double(number=MAX_PAYLOAD - 200, text="y" * (MAX_PAYLOAD - 200)))
    assert len(fits.text) == MAX_PAYLOAD - 200
    with pytest.raises(Invalid, match="Double"):
        await bus.request(AT, Double(number=0, text="y" * MAX_PAYLOAD))
    with pytest.raises(Invalid, match="Twice"):
        await bus.request(AT, Double(number=MAX_PAYLOAD))
    with pytest.raises(Invalid, match="Counted"):
        await bus.publish(Counted(number=0, text="ü" * (MAX_PAYLOAD // 2)))


async def test_events_reach_all_subscribers_of_their_kind_in_order(bus: Bus) -> None:
    heard: dict[str, list[int]] = {"a": [], "b": []}

    async def hear_a(event: Counted) -> None:
        await asyncio.sleep(0)  # a handler that yields must not be overtaken
        heard["a"].append(event.number)

    async def hear_b(event: Counted) -> None:
        heard["b"].append(event.number)

    async def wrong(event: Other) -> None:
        raise AssertionError("an event of another kind")

    bus.subscribe(Counted, hear_a)
    bus.subscribe(Counted, hear_b)
    bus.subscribe(Other, wrong)
    for number in range(500):
        await bus.publish(Counted(number=number))
    await _until(lambda: len(heard["a"]) == len(heard["b"]) == 500)
    assert heard["a"] == heard["b"] == list(range(500))


async def test_publish_does_not_wait_for_subscribers(bus: Bus) -> None:
    never = asyncio.Event()
    heard: list[int] = []

    async def stuck(event: Counted) -> None:
        await never.wait()

    async def hear(event: Counted) -> None:
        heard.append(event.number)

    bus.subscribe(Counted, stuck)
    bus.subscribe(Counted, hear)
    await asyncio.wait_for(_publish(bus, 100), 5)
    await _until(lambda: len(heard) == 100)


async def test_a_failing_handler_is_logged_and_goes_on_hearing(bus: Bus) -> None:
    heard: list[int] = []

    async def fail_once(event: Counted) -> None:
        heard.append(event.number)
        if event.number == 0:
            raise ZeroDivisionError

    bus.subscribe(Counted, fail_once)
    with capture_logs() as logs:
        await _publish(bus, 3)
        await _until(lambda: len(heard) == 3)
    assert [entry["kind"] for entry in logs if entry["log_level"] == "error"] == ["Counted"]


async def test_after_cancel_nothing_is_heard(bus: Bus) -> None:
    heard: list[int] = []
    still: list[int] = []

    async def hear(event: Counted) -> None:
        heard.append(event.number)
        subscription.cancel()  # a handler may end its own subscription

    async def go_on(event: Counted) -> None:
        still.append(event.number)

    subscription = bus.subscribe(Counted, hear)
    bus.subscribe(Counted, go_on)
    await _publish(bus, 3)
    await _until(lambda: len(still) == 3)
    assert heard == [0]
    subscription.cancel()


async def test_what_the_sender_bound_does_not_cross(bus: Bus) -> None:
    seen: list[str] = []

    async def look(command: Act) -> Word:
        seen.append(bound.get())
        return Done()

    bus.respond(AT, Act, look)
    bound.set("sender")
    await bus.request(AT, Act())
    assert seen == [""]


async def test_an_asker_of_a_stopping_responder_hears_so() -> None:
    for make in CARRIERS.values():
        started = asyncio.Event()

        async def forever(command: Act, started: asyncio.Event = started) -> Word:
            started.set()
            await asyncio.Event().wait()
            return Done()

        async with make() as bus:
            bus.respond(AT, Act, forever)
            asking = asyncio.create_task(bus.request(AT, Act(), timeout=30))
            await asyncio.wait_for(started.wait(), 20)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(asking, 20)


async def test_a_bus_that_is_not_open_is_unavailable() -> None:
    for make in CARRIERS.values():
        async with make() as bus:
            assert bus.health()["status"] == "ok"
        with pytest.raises(Unavailable):
            await bus.request(AT, Act())
        with pytest.raises(Unavailable):
            await bus.publish(Counted(number=1))
        assert bus.health()["status"] != "ok"


async def _done(command: Act) -> Word:
    return Done()


async def _publish(bus: Bus, count: int) -> None:
    for number in range(count):
        await bus.publish(Counted(number=number))


async def _until(fact: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not fact():  # noqa: ASYNC110  (a fact outside: nobody sets an event for it)
            await asyncio.sleep(0.005)
