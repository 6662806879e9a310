"""Project files: the launcher's verbs on project directories. Each runs in a child of the launcher."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from aen.acl.drift import Look
from aen.acl.permissions import MOST_PEOPLE, Grants, grants_group
from aen.acl.posix import NoAcl
from aen.acl.sharing import SharedWalk
from aen.acl.tree import Task
from aen.environments.clone import Clone, Plan, Untrusted
from aen.errors import AenError, Conflict, Invalid, NotFound
from aen.launchers import Account, Policy, ProjectRef, RightsWish, Unsupported, preparation, quotas, reserved, trees
from aen.launchers.accounts import Accounts
from aen.launchers.groups import Groups
from aen.launchers.loop import Report
from aen.launchers.path_rights import rights_at
from aen.launchers.tagging import Tagging

Message = dict[str, Any]


class ProjectFiles:
    """The verbs that touch project files. Each runs in a child of its own."""

    def __init__(self, policy: Policy, accounts: Accounts, groups: Groups) -> None:
        self._policy = policy
        self._groups = groups
        self._accounts = accounts
        self._single = policy.mode == "single"
        self._by_group = policy.acl_subject == "group" and not self._single

    def prepare(self, project: ProjectRef, skeleton: str) -> bool:
        """Copy the skeleton beside, give it the team's rights, rename it into place. False: it was there."""
        owner = self._accounts.find(project.owner)
        with trees.opened(self._policy.project_root) as root:
            trees.make_directory(project.owner, root, 0o711)
            with self._folder(root, project) as folder:
                if trees.exists(project.name, folder):
                    with trees.opened(folder, project.name) as fd:
                        self._belongs(fd, project, owner)
                    return False
                with trees.built(root) as (stage, name, fd):
                    self._copy(skeleton, fd, owner)
                    self._give(fd, owner)
                    self._walk(fd, project, owner)
                    os.rename(name, project.name, src_dir_fd=stage, dst_dir_fd=folder)
        return True

    def publish(self, project: ProjectRef, name: str, source: list[str]) -> bool:
        """Clone a root environment beside, give it the team's rights, rename it to `envs/<name>`. False: it was there."""
        owner = self._accounts.find(project.owner)
        with trees.opened(self._policy.project_root) as root, self._project(root, project, owner) as fd:
            self._make_envs(fd, project, owner)
            with trees.opened(fd, "envs") as envs:
                if trees.exists(name, envs):
                    return False
                with trees.built(root) as (stage, built, made):
                    self._clone(made, source, f"{self._path(project)}/envs/{name}", owner)
                    self._give(made, owner)
                    self._walk(made, project, owner)
                    if number := quotas.number_of(envs):  # else the kernel lets it in only where it has the same one
                        Tagging(self._task(project, owner)[0], number).run(made)
                    os.rename(built, name, src_dir_fd=stage, dst_dir_fd=envs)
        return True

    def apply(self, project: ProjectRef, top_only: bool, progress: Report | None) -> Message:
        """The walk."""
        owner = self._accounts.find(project.owner)
        with trees.opened(self._policy.project_root) as root, self._project(root, project, owner) as fd:
            return self._walk(fd, project, owner, top_only=top_only, progress=progress)

    def check(self, project: ProjectRef) -> Message:
        """What is not in line with the team. Changes no file."""
        owner = self._accounts.find(project.owner)
        names = self._names(project)
        with trees.opened(self._policy.project_root) as root, self._project(root, project, owner) as fd:
            task, missing = self._task(project, owner)
            try:
                drift = Look(task, names).look(fd)
            except NoAcl:
                raise Invalid(preparation.no_acl(self._policy.project_root)) from None
        return {**asdict(drift), "notes": drift.notes + missing, "unreadable": dict(drift.unreadable)}

    def rights(self, project: ProjectRef, parts: list[str], wish: RightsWish | None) -> Message:
        """What the team has on one file or folder; with a wish: after it was fulfilled."""
        if self._single:
            raise Unsupported("In evaluation mode everybody's apps run as one user: rights can't tell people apart.")
        owner = self._accounts.find(project.owner)
        with trees.opened(self._policy.project_root) as root, self._project(root, project, owner) as fd:
            task, missing = self._task(project, owner)
            try:
                found = rights_at(fd, parts, project, task, self._names(project), wish)
            except NoAcl:
                raise Invalid(preparation.no_acl(self._policy.project_root)) from None
        return {**found, "notes": missing}

    def _names(self, project: ProjectRef) -> dict[int, str]:
        """People by uid: those who are or were in the team."""
        return {uid: user for user in (*project.former, *project.team) if (uid := self._accounts.uid_before(user))}

    def clear(self, project: ProjectRef) -> list[str]:
        """Move aside what lies where directories of ours belong; what was done, as sentences. Changes nothing else."""
        owner = self._accounts.find(project.owner)
        with trees.opened(self._policy.project_root) as root, self._project(root, project, owner) as fd:
            done = [(name, said) for name in reserved.OURS if (said := reserved.move_aside(name, fd))]
            for name, _ in done:
                self._make(fd, name, owner)
        return [said for _, said in done]

    def move(self, project: ProjectRef, new_name: str, new_owner: str) -> None:
        """Move the directory, which only root can in owners' folders. What was cut off is finished by doing it again.

        To another owner: their files pass on where they lie, then one rename. A directory in one owner's folder that
        belongs to another is such a move that was cut off, and nothing else: the folders are ours.
        """
        owner, new = self._accounts.find(project.owner), self._accounts.find(new_owner)
        target = ProjectRef(new_owner, new_name, {**project.team, project.owner: "viewer", new_owner: "owner"})
        with trees.opened(self._policy.project_root) as root:
            trees.make_directory(new_owner, root, 0o711)
            with self._folder(root, project) as source, self._folder(root, target) as folder:
                if not trees.exists(project.name, source):
                    self._groups.rename(project.owner, project.name, new_owner, new_name)
                    raise NotFound(f"{project.owner}/{project.name} has no directory on this node.")
                if trees.exists(new_name, folder):
                    raise Conflict(f"There is a directory {new_owner}/{new_name} already.")
                with trees.opened(source, project.name) as fd:
                    if new_owner == project.owner or os.fstat(fd).st_uid != new.uid:
                        self._belongs(fd, project, owner)
                    try:
                        if new_owner != project.owner:
                            # As one who only looks, the old owner keeps no file; the next walk gives them their role.
                            self._walk(fd, target, new, taken_over=True)
                        os.rename(project.name, new_name, src_dir_fd=source, dst_dir_fd=folder)
                    except BaseException:
                        self._give(fd, owner)  # else nobody could work in it until the move is tried again
                        raise
                self._groups.rename(project.owner, project.name, new_owner, new_name)

    def delete(self, project: ProjectRef) -> None:
        """Out of everybody's reach at once, then removed. Fine when it is gone."""
        with trees.opened(self._policy.project_root) as root:
            try:
                with self._folder(root, project) as folder, trees.opened(folder, project.name) as fd:
                    self._may_delete(fd, project)
                    with trees.staging(root) as stage:
                        name = f"gone-{os.urandom(8).hex()}"
                        os.rename(project.name, name, src_dir_fd=folder, dst_dir_fd=stage)
                        self._groups.forget(project.owner, project.name)
            except FileNotFoundError:
                return
            with trees.staging(root) as stage:
                trees.remove(name, stage)

    def place(self, project: ProjectRef) -> str:
        """The project's directory as processes see it (for finding those that hold it)."""
        return os.path.realpath(self._path(project))

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    def _path(self, project: ProjectRef) -> str:
        return f"{self._policy.project_root}/{project.owner}/{project.name}"

    def _ids(self, owner: Account) -> tuple[int, int] | None:
        return None if self._single else (owner.uid, owner.gid)

    def _give(self, fd: int, owner: Account) -> None:
        if not self._single:
            os.fchown(fd, owner.uid, owner.gid)

    @contextmanager
    def _folder(self, root: int, project: ProjectRef) -> Iterator[int]:
        """The owner's folder: ours, so that its owner can't exchange a project's directory."""
        with trees.opened(root, project.owner) as fd:
            if os.fstat(fd).st_uid != os.geteuid():
                raise Conflict(f"The folder {project.owner} in the project root is not AEN's own: move it away.")
            yield fd

    @contextmanager
    def _project(self, root: int, project: ProjectRef, owner: Account) -> Iterator[int]:
        """The project's directory, if it is its owner's."""
        with self._folder(root, project) as folder, trees.opened(folder, project.name) as fd:
            self._belongs(fd, project, owner)
            yield fd

    def _belongs(self, fd: int, project: ProjectRef, owner: Account) -> None:
        uid = os.fstat(fd).st_uid
        if uid != owner.uid:
            raise Conflict(
                f"The directory of {project.owner}/{project.name} belongs to uid {uid}, not to {project.owner} "
                f"(uid {owner.uid}): it is left from an earlier account. An administrator has to move it away."
            )

    def _may_delete(self, fd: int, project: ProjectRef) -> None:
        try:
            owner = self._accounts.find(project.owner)
        except NotFound:
            return  # no account any more: what it left can go
        self._belongs(fd, project, owner)

    def _copy(self, skeleton: str, target: int, owner: Account) -> None:
        try:
            with trees.opened(skeleton) as source:
                trees.copy(source, target, self._ids(owner))
        except FileNotFoundError:
            raise NotFound(f"The skeleton {skeleton} is not there.") from None

    def _make_envs(self, fd: int, project: ProjectRef, owner: Account) -> None:
        """Raises Conflict when it is something else by now: it is never followed."""
        if not self._make(fd, "envs", owner) and (wrong := reserved.wrong("envs", fd)):
            raise Conflict(
                f"{project.owner}/{project.name} can't start: {wrong}, where the project's environments belong. Remove "
                "it, or press Reset: it is then moved aside, and the next start makes the directory anew."
            )

    def _make(self, fd: int, name: str, owner: Account) -> bool:
        """A directory of the owner's in the project. False: something of that name is there."""
        if not reserved.make(name, fd):
            return False
        with trees.opened(fd, name) as made:
            if os.fstat(made).st_uid == os.geteuid():  # else it was exchanged already
                self._give(made, owner)
        return True

    def _clone(self, target: int, source: list[str], prefix: str, owner: Account) -> None:
        old = "/".join((self._policy.envs_dir.rstrip("/"), *source))
        trusted = frozenset({0, self._policy.service_uid, os.geteuid()})
        plan = Plan(old, prefix, self._ids(owner), trusted, link_writable=not self._single)
        try:
            with trees.opened(self._policy.envs_dir, *source) as fd:
                Clone(plan).run(fd, target)
        except FileNotFoundError:
            raise NotFound(f"There is no root environment {old}.") from None
        except Untrusted as error:
            raise Conflict(f"The root environment can't be used. {error}") from None

    def _walk(
        self,
        fd: int,
        project: ProjectRef,
        owner: Account,
        *,
        top_only: bool = False,
        taken_over: bool = False,
        progress: Report | None = None,
    ) -> Message:
        task, missing = self._task(project, owner)
        task = replace(task, taken_over=taken_over)
        try:
            report = SharedWalk(task, progress).run(fd, top_only=top_only)
        except NoAcl:
            raise Invalid(preparation.no_acl(self._policy.project_root)) from None
        report.notes += missing
        return asdict(report)

    def _task(self, project: ProjectRef, owner: Account) -> tuple[Task, list[str]]:
        """What the walk is to do, and why some people of the team get nothing yet."""
        missing: list[str] = []
        people: dict[int, bool] = {}
        for user, role in project.team.items():
            try:
                people[self._accounts.find(user).uid] = role != "viewer"
            except AenError as error:
                missing.append(error.message)
        people.pop(owner.uid, None)
        groups = self._groups.keep(project) if self._by_group else None
        if groups is None and len(people) > MOST_PEOPLE:
            raise Invalid(
                f"More than {MOST_PEOPLE} people can't be given rights by name: make the team smaller, "
                "or let an administrator set acl.subject to group."
            )
        before = {uid for user in project.former for uid in self._accounts.uids_before(user)}
        former = frozenset(before) - {owner.uid, *people}
        group = grants_group(self._policy.acl_group, owner.private_group)
        grants = Grants(owner.uid, owner.gid, people, group, groups)
        untouched = frozenset() if self._single else frozenset({0, self._policy.service_uid})
        return Task(grants, untouched, not self._single, former, linked_stay=self._single), missing


def told(work: Callable[[], Any]) -> Any:
    """An error of the file system as a sentence for people."""
    try:
        return work()
    except FileNotFoundError:
        raise NotFound("The project has no directory on this node yet.") from None
    except OSError as error:
        place = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        raise Conflict(f"The project's directory can't be worked on{place}: {error.strerror}.") from error
