"""Starting: which projects may start, which do, and how far one is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aen.errors import Conflict
from aen.model.project import Project, ProjectState
from aen.model.session import Step, StepState
from aen.roles.server.changes import every
from aen.store import Query, Store

S = ProjectState


def check_startable(project: Project) -> None:
    """Raises Conflict."""
    if project.renaming:
        raise Conflict(f"{project.slug} is being renamed. Try again in a moment.", retry_after=2)
    if project.state is S.STOPPING:
        raise Conflict(f"{project.slug} is stopping. Start it again in a moment.", retry_after=2)
    if project.state is S.DELETING:
        raise Conflict(f"{project.slug} is being deleted.")
    if project.ends:
        raise Conflict(f"{project.slug} is deleted. Its owner, {project.owner}, can restore it for some days.")


def directory_done(steps: Sequence[Step]) -> bool:
    """Whether the project has its directory."""
    return any(step.name == "directory" and step.state in (StepState.DONE, StepState.SKIPPED) for step in steps)


async def in_state(store: Store, state: ProjectState) -> AsyncIterator[Project]:
    """All projects in that state, the one that changed last at the end."""
    async for doc in every(store, "projects", Query(equal=(("state", state.value),), sort="updated")):
        yield Project.model_validate(doc)
