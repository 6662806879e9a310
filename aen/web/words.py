"""Words: what states, roles and steps are called for people. Their codes stay as they are in the API and the log."""

from __future__ import annotations

from aen.languages import N_, gettext

WORDS: dict[str, str] = {
    # projects, sessions, jobs
    "NEW": N_("New"),
    "QUEUED": N_("Queued"),
    "STARTING": N_("Starting"),
    "RUNNING": N_("Running"),
    "STOPPING": N_("Stopping"),
    "STOPPED": N_("Stopped"),
    "PROBLEM": N_("Problem"),
    "LOST": N_("Lost"),
    "DELETING": N_("Deleting"),
    "MOVING": N_("Moving"),
    "DONE": N_("Done"),
    "FAILED": N_("Failed"),
    "CANCELLED": N_("Cancelled"),
    # steps of a start, changes of an environment
    "waiting": N_("waiting"),
    "pending": N_("waiting"),
    "running": N_("under way"),
    "done": N_("done"),
    "skipped": N_("nothing to do"),
    "failed": N_("failed"),
    # roles in a team
    "viewer": N_("Viewer"),
    "member": N_("Member"),
    "maintainer": N_("Maintainer"),
    "owner": N_("Owner"),
}

STEPS: dict[str, str] = {
    "account": N_("Account"),
    "directory": N_("Project directory"),
    "environment": N_("Environment"),
    "permissions": N_("Permissions"),
    "app": N_("App"),
}

#: Kinds of jobs.
JOBS: dict[str, str] = {
    "project.copy": N_("Copy a project"),
    "project.delete": N_("Delete a project"),
    "project.import": N_("Import a project"),
    "project.permissions": N_("Bring permissions in line with a team"),
    "project.repair": N_("Repair permissions"),
    "publication.render": N_("Render what is published"),
    "records.prune": N_("Take old records out of the log"),
    "user.keys": N_("Install SSH keys on nodes"),
    "user.retire": N_("Take a removed person out of files and nodes"),
}


def word(code: str) -> str:
    """What people read for the code of a state or role."""
    return gettext(WORDS[code]) if code in WORDS else str(code).lower().capitalize()


def job(kind: str) -> str:
    """What a kind of job does; its code where it is none of ours."""
    return gettext(JOBS[kind]) if kind in JOBS else kind


def step(name: str) -> str:
    """The name of a step of a start."""
    return gettext(STEPS[name]) if name in STEPS else name.capitalize()
