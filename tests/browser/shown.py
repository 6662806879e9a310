"""What the pages of the sample show besides: environments and revisions, as its node answers, runs, publications, dashboards."""

from __future__ import annotations

import base64
import contextlib
import zlib
from collections.abc import AsyncIterator

from aen import names
from aen.bus import Bus
from aen.errors import NotFound
from aen.messages import AskErrand, ErrandAnswer, ListEnvironments, ReadEnvironment, ReadErrand
from aen.model import new_id, now
from aen.model.dashboard import Dashboard, Kind, Watchers
from aen.model.environment import EnvironmentDetail, EnvironmentInfo, EnvironmentList, HistoryEntry
from aen.model.errand import ErrandReport
from aen.model.project import Project
from aen.model.publication import Audience, Publication, PublishedFile, PublishedPage, Version
from aen.model.revision import (
    CellDifference,
    ChangedFile,
    Differences,
    FileDifference,
    GitKey,
    Revision,
    RevisionPage,
    RevisionStatus,
)
from aen.model.schedule import Run, RunState, Schedule, Timing
from aen.roles.server.project.projects import NewProject
from tests.served import Served

HOUR, DAY = 3_600_000, 86_400_000
REVISION = "4c7f1e0a9d3b52c8e6f70a1b2c3d4e5f60718293"
PUBLICATION, SCHEDULE = "5eed5eed5eed5eed", "5eed0000000000000000000000000001"
ENVIRONMENTS = (
    EnvironmentInfo(name="default", python="3.12.4", packages=84, bytes=412 << 20, shared=397 << 20, kernel=True),
    EnvironmentInfo(name="deep-learning-gpu", python="3.11.9", packages=213, bytes=6100 << 20, kernel=True),
    EnvironmentInfo(name="r-legacy", kind="conda", python="3.9.19", packages=131, bytes=1900 << 20),
)
SUBJECTS = (
    ("Filter variants below depth 8", "Alice Karlsson"),
    (
        "Plot allele frequencies by population, with the new palette for readers who see colours differently",
        "Bob Okafor",
    ),
    ("Notebook for the first batch", "Alice Karlsson"),
)


@contextlib.asynccontextmanager
async def answering(bus: Bus, node: str) -> AsyncIterator[None]:
    """The node tells of environments and revisions, as one does that has them."""
    address = names.address("compute", node)
    told = [
        bus.respond(address, ListEnvironments, _environments),
        bus.respond(address, ReadEnvironment, _environment),
        bus.respond(address, AskErrand, _errand),
        bus.respond(address, ReadErrand, _no_errand),
    ]
    yield
    for one in told:
        one.cancel()


async def _environments(_: ListEnvironments) -> EnvironmentList:
    return EnvironmentList(environments=list(ENVIRONMENTS), bytes=8 << 30)


async def _environment(command: ReadEnvironment) -> EnvironmentDetail:
    packages = [
        ["numpy", "2.1.1", ""],
        ["pandas", "2.2.3", ""],
        ["scikit-learn", "1.5.2", ""],
        ["ipykernel", "6.29.5", ""],
    ]
    history = [
        HistoryEntry(
            number=2,
            at=now() - DAY,
            user="bob",
            act="install",
            detail="pandas",
            changes=["pandas 2.2.2 → 2.2.3"],
            packages=84,
        ),
        HistoryEntry(number=1, at=now() - 9 * DAY, user="alice", act="standard", packages=83),
    ]
    found = next((one for one in ENVIRONMENTS if one.name == command.name), None)
    return EnvironmentDetail(environment=found, packages=packages, lock="numpy==2.1.1\n", history=history)


async def _no_errand(_: ReadErrand) -> ErrandReport:
    raise NotFound("There is no such errand.")


async def _errand(command: AskErrand) -> ErrandAnswer:
    answers = {
        "revisions.status": RevisionStatus(
            repository=True,
            repositories=[""],
            branch="main",
            head=REVISION,
            remote="git@git.example.org:genetics/genome.git",
            ahead=1,
            behind=0,
            files=[
                ChangedFile(path="02-call.ipynb", state="changed"),
                ChangedFile(path="figures/allele-frequencies-by-population-and-cohort-2026.svg", state="new"),
                ChangedFile(path="old/notes.txt", state="removed"),
            ],
        ),
        "revisions.history": RevisionPage(revisions=[_revision(n) for n in range(len(SUBJECTS))]),
        "revisions.show": Differences(revision=_revision(0), files=_files()),
        "revisions.compare": Differences(files=_files()),
        "revisions.key": GitKey(
            public="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOao0n5uNK+I6pENBOkngKHuAZl2tb4E5vXSdDq7Oo7o alice@aen",
            fingerprint="SHA256:0JxCzP3wq3nQf1",
        ),
    }
    return ErrandAnswer(result=answers[command.verb].model_dump(mode="json"))


def _revision(number: int) -> Revision:
    subject, name = SUBJECTS[number]
    at = now() - (number + 1) * 5 * HOUR
    id = f"{number}{REVISION[1:]}"
    return Revision(id=id, short=id[:8], name=name, email="a@example.org", at=at, subject=subject)


def _files() -> list[FileDifference]:
    code = [
        [" ", 1, "import pandas as pd", 1, "import pandas as pd"],
        ["~", 2, "calls = load('calls.vcf')", 2, "calls = load('calls.vcf').query('depth >= 8')"],
        ["+", 0, "", 3, "print(len(calls), 'variants are left')"],
    ]
    cells = [
        CellDifference(state="same", kind="code", count=4),
        CellDifference(
            state="changed", kind="code", rows=code, outputs=[["-", "1204 variants"], ["+", "981 variants"]]
        ),
        CellDifference(state="new", kind="markdown", rows=[["+", 0, "", 1, "## What is left"]]),
    ]
    text = [["hunk", 0, "threshold", 0, ""], ["-", 3, "depth: 4", 0, ""], ["+", 0, "", 3, "depth: 8"]]
    return [
        FileDifference(path="02-call.ipynb", state="changed", cells=cells),
        FileDifference(path="config/thresholds.yaml", state="changed", rows=text),
    ]


async def content(server: Served, project: Project) -> None:
    """A schedule with runs, a publication, dashboards, and a deleted project."""
    store, domain = server.domain.store, server.domain
    timing = Timing(kind="weekly", days=[0, 3], time="06:30", zone="Europe/Stockholm")
    schedule = Schedule(
        id=SCHEDULE, project=project.id, name="weekly-report", user="alice", notebook="reports/weekly.ipynb",
        parameters={"year": 2026, "cohort": "A"}, timing=timing, due=now() + DAY,
    )  # fmt: skip
    await store.insert("schedules", schedule.model_dump(mode="json"))
    for number, state in enumerate((RunState.FAILED, RunState.DONE, RunState.SKIPPED, RunState.DONE)):
        at = now() - (number + 1) * 3 * DAY
        run = Run(
            id=new_id(), schedule=SCHEDULE, project=project.id, user="alice", name="weekly-report",
            notebook="reports/weekly.ipynb", due=at, state=state, active=False, created=at, started=at, ended=at + 95_000,
            reason="The cell 7 failed: KeyError: 'depth'." if state is RunState.FAILED else "",
            output="reading calls.vcf\nKeyError: 'depth'" if state is RunState.FAILED else "",
            path="" if state is RunState.SKIPPED else f"runs/weekly-report/2026-11-{20 - number}.ipynb",
        )  # fmt: skip
        await store.insert("runs", run.model_dump(mode="json"))
    version = Version(number=1, at=now() - DAY, user="bob", files=[PublishedFile(path="paper.md", size=40)])
    made = Publication(
        id=PUBLICATION, project=project.id, user="bob", path="paper.md", title="Figures of the cohort paper",
        description="As submitted in October.", audience=Audience.SIGNED_IN, versions=[version], made=1, state="ready", views=41,
    )  # fmt: skip
    await store.insert("publications", made.model_dump(mode="json"))
    html = "<!doctype html><title>Paper</title><body><h1>Figures of the cohort paper</h1><p>981 variants are left.</p>"
    data = base64.b64encode(zlib.compress(html.encode())).decode()
    page = PublishedPage(id=f"{PUBLICATION}:1:0", publication=PUBLICATION, data=data)
    await store.insert("published_pages", page.model_dump(mode="json"))
    boards = [
        Dashboard(id="5eedb0a7d0000001", title="Variant browser", kind=Kind.VOILA, path="browser.ipynb", user="alice"),
        Dashboard(
            id="5eedb0a7d0000002", title="Cohort figures for the steering committee and its guests", kind=Kind.STREAMLIT,
            path="dashboards/cohort.py", user="bob", watchers=Watchers.SIGNED_IN,
        ),
    ]  # fmt: skip

    def put(project: Project) -> None:
        project.dashboards = boards
        project.watchers = project.watched_by()

    await domain.projects.edit(project.id, put)
    alice = await server.actor("alice")
    long = "a-project-with-a-name-as-long-as-names-of-projects-may-be-here"
    await domain.projects.create(alice, NewProject(name=long, summary="What long names do to pages " * 8))
    await domain.projects.create(alice, NewProject(name="last-year", summary="Superseded by genome"))
    await domain.grace.discard(alice, "alice", "last-year", "last-year")
    await domain.search.save(alice, "variant calling", "files")
