"""Attention: what a person should look at, and with whom they work most. For the home page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from urllib.parse import quote

from aen.languages import gettext as _
from aen.model import now
from aen.model.job import Job, JobState
from aen.model.project import Project, ProjectState
from aen.model.schedule import Run, RunState
from aen.model.session import Phase, Session
from aen.roles.server.domain import Domain
from aen.roles.server.permissions import Actor
from aen.roles.server.project.moves import PERMISSIONS
from aen.store import Doc, Query

_PROJECTS = 100  # of a person that are looked at, changed last
_MOST = 12
_RUNS = 60  # of a person that are looked at, newest first
_JOB_AGE = 3 * 24 * 3600 * 1000  # ms for which a failed job is told


@dataclass(frozen=True)
class Notice:
    """One thing. `kind` is bad, busy or info."""

    kind: str
    title: str
    text: str
    address: str


async def of(
    domain: Domain, actor: Actor, sessions: list[Session], own: list[Doc]
) -> tuple[list[Notice], list[tuple[str, int]]]:
    """What needs attention, the worst first; and people who share most projects with the actor, with how many."""
    projects = [domain.seen.read(Project, doc) for doc in own[:_PROJECTS]]
    found = _sessions(domain, sessions)
    projects = [project for project in projects if not project.going]
    for project in projects:
        # Of the others there is nothing to say.
        if project.space or project.pending or project.state is ProjectState.PROBLEM:
            found += await _project(domain, project)
    for project in {project.owner: project for project in reversed(projects)}.values():  # once for each owner
        if warning := await domain.spaces.owners_warning(project):
            found.append(Notice("busy", project.owner, warning, f"/{quote(project.slug)}/compute#space"))
    found += await _jobs(domain, actor)
    found += await _runs(domain, actor)
    order = {"bad": 0, "busy": 1, "info": 2}
    people: Counter[str] = Counter()
    for project in projects:
        people.update(project.members)
    del people[actor.name]
    return sorted(found, key=lambda one: order[one.kind])[:_MOST], people.most_common(6)


def _sessions(domain: Domain, sessions: list[Session]) -> list[Notice]:
    found = []
    for session in sessions:
        view = domain.sessions.view(session)
        idle = view["idle"]
        if session.phase is Phase.RUNNING and idle and idle.get("warned"):
            text = _("It stops soon because nobody uses it: variables in memory are lost then.")
            found.append(Notice("busy", f"{view['title']} · {session.slug}", text, f"/{quote(session.slug)}"))
    return found


async def _project(domain: Domain, project: Project) -> list[Notice]:
    where, found = f"/{quote(project.slug)}", []
    if project.state is ProjectState.PROBLEM:
        found.append(Notice("bad", project.slug, project.reason or _("It has a problem."), where))
    if warning := domain.spaces.own_warning(project):
        found.append(Notice("busy", project.slug, warning, f"{where}/compute#space"))
    if PERMISSIONS in project.pending:
        last = await domain.projects.moves.last_job(project, PERMISSIONS)
        if last is not None and last.state is JobState.FAILED:
            text = _("Permissions of its files could not be brought in line: {why}", why=last.message)
            found.append(Notice("bad", project.slug, text, f"{where}/settings/permissions"))
    return found


async def _jobs(domain: Domain, actor: Actor) -> list[Notice]:
    own = (("created_by", actor.name),)
    query = Query(equal=own, low=actor.since, sort="created", descending=True, limit=20, shared=True)
    found = []
    for doc in (await domain.store.find("jobs", query)).items:
        job = domain.seen.read(Job, doc)
        if job.state is JobState.FAILED and job.updated > now() - _JOB_AGE:
            title = f"{job.subject} · {job.kind.partition('.')[2] or job.kind}"
            found.append(Notice("bad", title, job.message, f"/{quote(job.subject)}"))
    return found


async def _runs(domain: Domain, actor: Actor) -> list[Notice]:
    """Schedules of the actor's whose last run failed lately: one that has gone well since is no news."""
    own = (("user", actor.name),)
    query = Query(equal=own, low=actor.since, sort="created", descending=True, limit=_RUNS, shared=True)
    last: dict[str, Run] = {}
    for doc in (await domain.store.find("runs", query)).items:
        run = domain.seen.read(Run, doc)
        if run.state in (RunState.DONE, RunState.FAILED, RunState.LOST):
            last.setdefault(run.schedule, run)
    found = []
    for run in last.values():
        if run.state is RunState.DONE or run.ended <= now() - _JOB_AGE:
            continue
        project = await domain.projects.by_id(run.project)
        if project is not None and not project.going:
            text = _("A scheduled run failed: {why}", why=run.reason) if run.reason else _("A scheduled run failed.")
            address = f"/{quote(project.slug)}/runs/{run.schedule}"
            found.append(Notice("bad", f"{project.slug} · {run.name}", text, address))
    return found
