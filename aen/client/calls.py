"""Calls: every question to the API as a method, waited for. Made by `./dev client`, as models.py."""

from __future__ import annotations

from typing import Any, Literal

from aen.client.models import (
    About,
    AdminChosen,
    Allowance,
    ChangeReport,
    Committed,
    CopyName,
    Counted,
    DashboardSpec,
    DashboardView,
    DataCenterBody,
    DataCenterStatus,
    DataCenterView,
    Deletion,
    Differences,
    DrainBody,
    Drift,
    EnvironmentDetail,
    EnvironmentsChosen,
    EnvironmentsView,
    ErrandReport,
    Folder,
    GitKey,
    GoBack,
    GoingOn,
    GoneKey,
    InvitationView,
    InviteWish,
    JobView,
    Keep,
    KeptLogs,
    LinkView,
    Loads,
    LogView,
    MadeView,
    MailTest,
    MeView,
    Moment,
    NewEnvironment,
    NewInvitation,
    NewKey,
    NewLink,
    NewName,
    NewOwner,
    NewPassword,
    NewPicture,
    NewProject,
    NewPublication,
    NewReset,
    NewRevision,
    NewRights,
    NewSchedule,
    NewSearch,
    NewSession,
    NewTeamLink,
    NewToken,
    NewUser,
    NewUserView,
    NewValue,
    NodeInvitationView,
    NodeView,
    Nothing,
    PackagesChange,
    PageOfActivityView,
    PageOfAppView,
    PageOfDashboardView,
    PageOfDataCenterStatus,
    PageOfDataCenterView,
    PageOfDifference,
    PageOfFault,
    PageOfHereView,
    PageOfInvitationView,
    PageOfJobView,
    PageOfLetterView,
    PageOfLinkView,
    PageOfLoginView,
    PageOfMemberView,
    PageOfNodeExamined,
    PageOfNodeInvitationView,
    PageOfNodeView,
    PageOfProjectView,
    PageOfPublicationView,
    PageOfPublicKey,
    PageOfRunView,
    PageOfSavedView,
    PageOfScheduleView,
    PageOfSearchHit,
    PageOfSessionViewOfApi,
    PageOfTagView,
    PageOfTeamLinkView,
    PageOfUsers,
    PathRights,
    Paused,
    Period,
    Place,
    Priority,
    ProjectChanges,
    ProjectView,
    PublicationView,
    PublicKey,
    Read,
    Registration,
    Remote,
    Removal,
    ResetView,
    Restored,
    RevisionPage,
    RevisionStatus,
    RunView,
    SavedView,
    ScheduleView,
    SearchPage,
    SessionViewOfApi,
    SettingsView,
    SettingView,
    SpaceLimit,
    StatusView,
    Stopped,
    TeamLinkView,
    Tested,
    TokenView,
    UserPatch,
    UserView,
)


class Calls:
    """The API. Raises the AenErrors that the server answers with."""

    def _call(
        self,
        method: str,
        parts: tuple[str, ...],
        gives: Any = None,
        *,
        body: object = None,
        query: dict[str, Any] | None = None,
    ) -> Any:
        raise NotImplementedError

    def delete_admin_settings_name(self, name: str) -> SettingView:
        """As configured again."""
        found: SettingView = self._call(
            "DELETE",
            (
                "admin",
                "settings",
                name,
            ),
            SettingView,
        )
        return found

    def delete_datacenters_datacenter(self, datacenter: str) -> None:
        """Remove one without nodes and projects."""
        self._call(
            "DELETE",
            (
                "datacenters",
                datacenter,
            ),
            None,
        )

    def delete_invitations_id(self, id: str) -> None:
        """Take back."""
        self._call(
            "DELETE",
            (
                "invitations",
                id,
            ),
            None,
        )

    def delete_jobs_id(self, id: str) -> JobView:
        """Cancel a job."""
        found: JobView = self._call(
            "DELETE",
            (
                "jobs",
                id,
            ),
            JobView,
        )
        return found

    def delete_logins_id(self, id: str) -> None:
        """End a login or API token."""
        self._call(
            "DELETE",
            (
                "logins",
                id,
            ),
            None,
        )

    def delete_me_picture(self) -> None:
        """Show oneself by initials again."""
        self._call(
            "DELETE",
            (
                "me",
                "picture",
            ),
            None,
        )

    def delete_nodes_invitations_id(self, id: str) -> None:
        """Withdraw an invitation."""
        self._call(
            "DELETE",
            (
                "nodes",
                "invitations",
                id,
            ),
            None,
        )

    def delete_nodes_node(self, node: str) -> None:
        """Forget a node that is gone."""
        self._call(
            "DELETE",
            (
                "nodes",
                node,
            ),
            None,
        )

    def delete_projects_owner_name(self, owner: str, name: str, body: Deletion | None = None) -> JobView:
        """Delete a project and all its files, at once."""
        found: JobView = self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
            ),
            JobView,
            body=body,
        )
        return found

    def delete_projects_owner_name_dashboards_id(self, owner: str, name: str, id: str) -> None:
        """Take a dashboard down."""
        self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "dashboards",
                id,
            ),
            None,
        )

    def delete_projects_owner_name_environments_environment(
        self, owner: str, name: str, environment: str
    ) -> ChangeReport:
        """Remove an environment."""
        found: ChangeReport = self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "environments",
                environment,
            ),
            ChangeReport,
        )
        return found

    def delete_projects_owner_name_invitations_id(self, owner: str, name: str, id: str) -> None:
        """Withdraw an invitation by link."""
        self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "invitations",
                id,
            ),
            None,
        )

    def delete_projects_owner_name_links_id(self, owner: str, name: str, id: str) -> None:
        """End a link."""
        self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "links",
                id,
            ),
            None,
        )

    def delete_projects_owner_name_publications_id(self, owner: str, name: str, id: str) -> None:
        """Withdraw it."""
        self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "publications",
                id,
            ),
            None,
        )

    def delete_projects_owner_name_schedules_id(self, owner: str, name: str, id: str) -> None:
        """Remove it and its history."""
        self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "schedules",
                id,
            ),
            None,
        )

    def delete_projects_owner_name_schedules_id_runs(self, owner: str, name: str, id: str) -> None:
        """End the run that is under way."""
        self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "schedules",
                id,
                "runs",
            ),
            None,
        )

    def delete_projects_owner_name_star(self, owner: str, name: str) -> ProjectView:
        """Take the star away."""
        found: ProjectView = self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "star",
            ),
            ProjectView,
        )
        return found

    def delete_projects_owner_name_team_user(self, owner: str, name: str, user: str) -> PageOfMemberView:
        """Take somebody off, or leave."""
        found: PageOfMemberView = self._call(
            "DELETE",
            (
                "projects",
                owner,
                name,
                "team",
                user,
            ),
            PageOfMemberView,
        )
        return found

    def delete_searches_id(self, id: str) -> None:
        """Remove a kept search."""
        self._call(
            "DELETE",
            (
                "searches",
                id,
            ),
            None,
        )

    def delete_sessions_id(self, id: str) -> SessionViewOfApi:
        """Stop a session."""
        found: SessionViewOfApi = self._call(
            "DELETE",
            (
                "sessions",
                id,
            ),
            SessionViewOfApi,
        )
        return found

    def delete_users_user(self, user: str) -> JobView:
        """Remove a user."""
        found: JobView = self._call(
            "DELETE",
            (
                "users",
                user,
            ),
            JobView,
        )
        return found

    def delete_users_user_keys(self, user: str, body: GoneKey) -> None:
        """Take an SSH key away."""
        self._call(
            "DELETE",
            (
                "users",
                user,
                "keys",
            ),
            None,
            body=body,
        )

    def delete_users_user_second_factor(self, user: str) -> None:
        """Take it away."""
        self._call(
            "DELETE",
            (
                "users",
                user,
                "second-factor",
            ),
            None,
        )

    def get_admin_exceptions(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        unread: bool | None = None,
        search: str | None = None,
    ) -> PageOfFault:
        """Faults of AEN, grouped."""
        found: PageOfFault = self._call(
            "GET",
            (
                "admin",
                "exceptions",
            ),
            PageOfFault,
            query={"limit": limit, "cursor": cursor, "unread": unread, "search": search},
        )
        return found

    def get_admin_mail(self, *, limit: int | None = None, cursor: str | None = None) -> PageOfLetterView:
        """What waits in the outbox."""
        found: PageOfLetterView = self._call(
            "GET",
            (
                "admin",
                "mail",
            ),
            PageOfLetterView,
            query={"limit": limit, "cursor": cursor},
        )
        return found

    def get_admin_nodes_node_load(self, node: str) -> Loads:
        """How busy a node was."""
        found: Loads = self._call(
            "GET",
            (
                "admin",
                "nodes",
                node,
                "load",
            ),
            Loads,
        )
        return found

    def get_admin_records(self) -> KeptLogs:
        """How long records of the logs are kept."""
        found: KeptLogs = self._call(
            "GET",
            (
                "admin",
                "records",
            ),
            KeptLogs,
        )
        return found

    def get_admin_report(self, *, period: Literal["today", "yesterday", "week", "month"] | None = None) -> Period:
        """The daily report."""
        found: Period = self._call(
            "GET",
            (
                "admin",
                "report",
            ),
            Period,
            query={"period": period},
        )
        return found

    def get_admin_security(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        who: str | None = None,
        actor: str | None = None,
        act: str | None = None,
        address: str | None = None,
        low: int | None = None,
        high: int | None = None,
    ) -> PageOfActivityView:
        """Find in the security log."""
        found: PageOfActivityView = self._call(
            "GET",
            (
                "admin",
                "security",
            ),
            PageOfActivityView,
            query={
                "limit": limit,
                "cursor": cursor,
                "who": who,
                "actor": actor,
                "act": act,
                "address": address,
                "low": low,
                "high": high,
            },
        )
        return found

    def get_admin_settings(self) -> SettingsView:
        """Settings that are changed live."""
        found: SettingsView = self._call(
            "GET",
            (
                "admin",
                "settings",
            ),
            SettingsView,
        )
        return found

    def get_apps(self) -> PageOfAppView:
        """What one can start."""
        found: PageOfAppView = self._call("GET", ("apps",), PageOfAppView)
        return found

    def get_dashboards(self) -> PageOfDashboardView:
        """Dashboards that you may view."""
        found: PageOfDashboardView = self._call("GET", ("dashboards",), PageOfDashboardView)
        return found

    def get_datacenters(self) -> PageOfDataCenterView:
        """Data centers."""
        found: PageOfDataCenterView = self._call("GET", ("datacenters",), PageOfDataCenterView)
        return found

    def get_datacenters_datacenter_status(self, datacenter: str) -> DataCenterStatus:
        """How one is doing."""
        found: DataCenterStatus = self._call(
            "GET",
            (
                "datacenters",
                datacenter,
                "status",
            ),
            DataCenterStatus,
        )
        return found

    def get_datacenters_status(self) -> PageOfDataCenterStatus:
        """How all are."""
        found: PageOfDataCenterStatus = self._call(
            "GET",
            (
                "datacenters",
                "status",
            ),
            PageOfDataCenterStatus,
        )
        return found

    def get_doctor(self) -> PageOfNodeExamined:
        """What every node found when it examined itself."""
        found: PageOfNodeExamined = self._call("GET", ("doctor",), PageOfNodeExamined)
        return found

    def get_doctor_drift(self) -> PageOfDifference:
        """Options that differ between nodes."""
        found: PageOfDifference = self._call(
            "GET",
            (
                "doctor",
                "drift",
            ),
            PageOfDifference,
        )
        return found

    def get_invitations(self, *, limit: int | None = None, cursor: str | None = None) -> PageOfInvitationView:
        """Invitations."""
        found: PageOfInvitationView = self._call(
            "GET", ("invitations",), PageOfInvitationView, query={"limit": limit, "cursor": cursor}
        )
        return found

    def get_jobs(
        self, *, limit: int | None = None, cursor: str | None = None, subject: str | None = None
    ) -> PageOfJobView:
        """One's own jobs; for administrators all."""
        found: PageOfJobView = self._call(
            "GET", ("jobs",), PageOfJobView, query={"limit": limit, "cursor": cursor, "subject": subject}
        )
        return found

    def get_jobs_id(self, id: str) -> JobView:
        """A job."""
        found: JobView = self._call(
            "GET",
            (
                "jobs",
                id,
            ),
            JobView,
        )
        return found

    def get_me(self) -> MeView:
        """Who I am."""
        found: MeView = self._call("GET", ("me",), MeView)
        return found

    def get_nodes(self) -> PageOfNodeView:
        """Nodes."""
        found: PageOfNodeView = self._call("GET", ("nodes",), PageOfNodeView)
        return found

    def get_nodes_invitations(self) -> PageOfNodeInvitationView:
        """Open invitations of hosts."""
        found: PageOfNodeInvitationView = self._call(
            "GET",
            (
                "nodes",
                "invitations",
            ),
            PageOfNodeInvitationView,
        )
        return found

    def get_nodes_node(self, node: str) -> NodeView:
        """One node."""
        found: NodeView = self._call(
            "GET",
            (
                "nodes",
                node,
            ),
            NodeView,
        )
        return found

    def get_projects(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        scope: Literal["mine", "team", "starred", "public", "all", "deleted"] | None = None,
        tag: str | None = None,
        search: str | None = None,
    ) -> PageOfProjectView:
        """Projects."""
        found: PageOfProjectView = self._call(
            "GET",
            ("projects",),
            PageOfProjectView,
            query={"limit": limit, "cursor": cursor, "scope": scope, "tag": tag, "search": search},
        )
        return found

    def get_projects_owner_name(self, owner: str, name: str) -> ProjectView:
        """A project."""
        found: ProjectView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
            ),
            ProjectView,
        )
        return found

    def get_projects_owner_name_activity(
        self, owner: str, name: str, *, limit: int | None = None, cursor: str | None = None
    ) -> PageOfActivityView:
        """What happened."""
        found: PageOfActivityView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "activity",
            ),
            PageOfActivityView,
            query={"limit": limit, "cursor": cursor},
        )
        return found

    def get_projects_owner_name_dashboards(self, owner: str, name: str) -> PageOfDashboardView:
        """Dashboards of a project."""
        found: PageOfDashboardView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "dashboards",
            ),
            PageOfDashboardView,
        )
        return found

    def get_projects_owner_name_environments(self, owner: str, name: str) -> EnvironmentsView:
        """Environments."""
        found: EnvironmentsView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "environments",
            ),
            EnvironmentsView,
        )
        return found

    def get_projects_owner_name_environments_environment(
        self, owner: str, name: str, environment: str, *, number: int | None = None
    ) -> EnvironmentDetail:
        """One in full, with its history."""
        found: EnvironmentDetail = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "environments",
                environment,
            ),
            EnvironmentDetail,
            query={"number": number},
        )
        return found

    def get_projects_owner_name_environments_environment_export(
        self,
        owner: str,
        name: str,
        environment: str,
        *,
        format: Literal["requirements", "hashes", "environment"] | None = None,
    ) -> bytes:
        """requirements.txt or environment.yml."""
        found: bytes = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "environments",
                environment,
                "export",
            ),
            bytes,
            query={"format": format},
        )
        return found

    def get_projects_owner_name_export(self, owner: str, name: str) -> bytes:
        """Download as one archive (tar, gzip)."""
        found: bytes = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "export",
            ),
            bytes,
        )
        return found

    def get_projects_owner_name_here(self, owner: str, name: str) -> PageOfHereView:
        """Who of the team is here now."""
        found: PageOfHereView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "here",
            ),
            PageOfHereView,
        )
        return found

    def get_projects_owner_name_invitations(self, owner: str, name: str) -> PageOfTeamLinkView:
        """Invitations into the team by link."""
        found: PageOfTeamLinkView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "invitations",
            ),
            PageOfTeamLinkView,
        )
        return found

    def get_projects_owner_name_links(self, owner: str, name: str) -> PageOfLinkView:
        """Links for people without an account."""
        found: PageOfLinkView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "links",
            ),
            PageOfLinkView,
        )
        return found

    def get_projects_owner_name_permissions(self, owner: str, name: str) -> Drift:
        """Files not in line."""
        found: Drift = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "permissions",
            ),
            Drift,
        )
        return found

    def get_projects_owner_name_publications(self, owner: str, name: str) -> PageOfPublicationView:
        """What is published from a project."""
        found: PageOfPublicationView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "publications",
            ),
            PageOfPublicationView,
        )
        return found

    def get_projects_owner_name_related(self, owner: str, name: str) -> PageOfProjectView:
        """Related projects."""
        found: PageOfProjectView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "related",
            ),
            PageOfProjectView,
        )
        return found

    def get_projects_owner_name_revisions(
        self, owner: str, name: str, *, folder: str | None = None, skip: int | None = None, path: str | None = None
    ) -> RevisionPage:
        """Revisions of a folder, newest first."""
        found: RevisionPage = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "revisions",
            ),
            RevisionPage,
            query={"folder": folder, "skip": skip, "path": path},
        )
        return found

    def get_projects_owner_name_revisions_compare(
        self,
        owner: str,
        name: str,
        *,
        folder: str | None = None,
        path: str | None = None,
        revision: str | None = None,
        other: str | None = None,
    ) -> Differences:
        """What differs."""
        found: Differences = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "revisions",
                "compare",
            ),
            Differences,
            query={"folder": folder, "path": path, "revision": revision, "other": other},
        )
        return found

    def get_projects_owner_name_revisions_key(self, owner: str, name: str) -> GitKey:
        """One's key for git on the project's node."""
        found: GitKey = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "revisions",
                "key",
            ),
            GitKey,
        )
        return found

    def get_projects_owner_name_revisions_remote(self, owner: str, name: str) -> ErrandReport:
        """How one's clone, pull, push is doing."""
        found: ErrandReport = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "revisions",
                "remote",
            ),
            ErrandReport,
        )
        return found

    def get_projects_owner_name_revisions_revision(
        self, owner: str, name: str, revision: str, *, folder: str | None = None, path: str | None = None
    ) -> Differences:
        """What a revision changed."""
        found: Differences = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "revisions",
                revision,
            ),
            Differences,
            query={"folder": folder, "path": path},
        )
        return found

    def get_projects_owner_name_revisions_status(
        self, owner: str, name: str, *, folder: str | None = None
    ) -> RevisionStatus:
        """What is not committed."""
        found: RevisionStatus = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "revisions",
                "status",
            ),
            RevisionStatus,
            query={"folder": folder},
        )
        return found

    def get_projects_owner_name_rights(self, owner: str, name: str, *, path: str | None = None) -> PathRights:
        """What people may do with one file."""
        found: PathRights = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "rights",
            ),
            PathRights,
            query={"path": path},
        )
        return found

    def get_projects_owner_name_schedules(self, owner: str, name: str) -> PageOfScheduleView:
        """Scheduled notebooks."""
        found: PageOfScheduleView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "schedules",
            ),
            PageOfScheduleView,
        )
        return found

    def get_projects_owner_name_schedules_id(self, owner: str, name: str, id: str) -> ScheduleView:
        """One schedule."""
        found: ScheduleView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "schedules",
                id,
            ),
            ScheduleView,
        )
        return found

    def get_projects_owner_name_schedules_id_runs(
        self, owner: str, name: str, id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> PageOfRunView:
        """Its runs, newest first."""
        found: PageOfRunView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "schedules",
                id,
                "runs",
            ),
            PageOfRunView,
            query={"limit": limit, "cursor": cursor},
        )
        return found

    def get_projects_owner_name_sessions(self, owner: str, name: str) -> PageOfSessionViewOfApi:
        """A project's sessions."""
        found: PageOfSessionViewOfApi = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "sessions",
            ),
            PageOfSessionViewOfApi,
        )
        return found

    def get_projects_owner_name_team(self, owner: str, name: str) -> PageOfMemberView:
        """The team."""
        found: PageOfMemberView = self._call(
            "GET",
            (
                "projects",
                owner,
                name,
                "team",
            ),
            PageOfMemberView,
        )
        return found

    def get_search(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        q: str | None = None,
        kind: Literal["", "projects", "people", "tags", "files"] | None = None,
    ) -> SearchPage:
        """Search."""
        found: SearchPage = self._call(
            "GET", ("search",), SearchPage, query={"limit": limit, "cursor": cursor, "q": q, "kind": kind}
        )
        return found

    def get_search_suggestions(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        q: str | None = None,
        kind: Literal["", "projects", "people", "tags", "files"] | None = None,
    ) -> PageOfSearchHit:
        """The best few of each kind, as one types."""
        found: PageOfSearchHit = self._call(
            "GET",
            (
                "search",
                "suggestions",
            ),
            PageOfSearchHit,
            query={"limit": limit, "cursor": cursor, "q": q, "kind": kind},
        )
        return found

    def get_searches(self) -> PageOfSavedView:
        """One's kept searches."""
        found: PageOfSavedView = self._call("GET", ("searches",), PageOfSavedView)
        return found

    def get_security(self, *, limit: int | None = None, cursor: str | None = None) -> PageOfActivityView:
        """The security log."""
        found: PageOfActivityView = self._call(
            "GET", ("security",), PageOfActivityView, query={"limit": limit, "cursor": cursor}
        )
        return found

    def get_sessions(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        of: Literal["me", "all"] | None = None,
        phase: Literal["", "QUEUED", "STARTING", "RUNNING", "STOPPING", "STOPPED", "PROBLEM", "LOST"] | None = None,
    ) -> PageOfSessionViewOfApi:
        """Sessions."""
        found: PageOfSessionViewOfApi = self._call(
            "GET",
            ("sessions",),
            PageOfSessionViewOfApi,
            query={"limit": limit, "cursor": cursor, "of": of, "phase": phase},
        )
        return found

    def get_sessions_id(self, id: str) -> SessionViewOfApi:
        """A session."""
        found: SessionViewOfApi = self._call(
            "GET",
            (
                "sessions",
                id,
            ),
            SessionViewOfApi,
        )
        return found

    def get_sessions_id_log(self, id: str, *, lines: int | None = None) -> LogView:
        """The end of its log."""
        found: LogView = self._call(
            "GET",
            (
                "sessions",
                id,
                "log",
            ),
            LogView,
            query={"lines": lines},
        )
        return found

    def get_settings_registration(self) -> Registration:
        """Registration."""
        found: Registration = self._call(
            "GET",
            (
                "settings",
                "registration",
            ),
            Registration,
        )
        return found

    def get_status(self) -> StatusView:
        """Whether I am signed in."""
        found: StatusView = self._call("GET", ("status",), StatusView)
        return found

    def get_tags(self, *, q: str | None = None, limit: int | None = None) -> PageOfTagView:
        """Tags, most used first."""
        found: PageOfTagView = self._call("GET", ("tags",), PageOfTagView, query={"q": q, "limit": limit})
        return found

    def get_users(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        search: str | None = None,
        sort: Literal["id", "created", "last_login"] | None = None,
        descending: bool | None = None,
        filter: Literal["", "admin", "staff", "locked"] | None = None,
    ) -> PageOfUsers:
        """Users."""
        found: PageOfUsers = self._call(
            "GET",
            ("users",),
            PageOfUsers,
            query={
                "limit": limit,
                "cursor": cursor,
                "search": search,
                "sort": sort,
                "descending": descending,
                "filter": filter,
            },
        )
        return found

    def get_users_user(self, user: str) -> UserView:
        """A user."""
        found: UserView = self._call(
            "GET",
            (
                "users",
                user,
            ),
            UserView,
        )
        return found

    def get_users_user_activity(
        self, user: str, *, limit: int | None = None, cursor: str | None = None
    ) -> PageOfActivityView:
        """What was done by and to a user."""
        found: PageOfActivityView = self._call(
            "GET",
            (
                "users",
                user,
                "activity",
            ),
            PageOfActivityView,
            query={"limit": limit, "cursor": cursor},
        )
        return found

    def get_users_user_keys(self, user: str) -> PageOfPublicKey:
        """SSH keys."""
        found: PageOfPublicKey = self._call(
            "GET",
            (
                "users",
                user,
                "keys",
            ),
            PageOfPublicKey,
        )
        return found

    def get_users_user_logins(self, user: str) -> PageOfLoginView:
        """Logins and API tokens."""
        found: PageOfLoginView = self._call(
            "GET",
            (
                "users",
                user,
                "logins",
            ),
            PageOfLoginView,
        )
        return found

    def get_users_user_picture(self, user: str) -> bytes:
        """Somebody's picture (PNG)."""
        found: bytes = self._call(
            "GET",
            (
                "users",
                user,
                "picture",
            ),
            bytes,
        )
        return found

    def get_users_user_removal(self, user: str) -> Removal:
        """What removing a user does."""
        found: Removal = self._call(
            "GET",
            (
                "users",
                user,
                "removal",
            ),
            Removal,
        )
        return found

    def patch_projects_owner_name(self, owner: str, name: str, body: ProjectChanges | None = None) -> ProjectView:
        """Change a project."""
        found: ProjectView = self._call(
            "PATCH",
            (
                "projects",
                owner,
                name,
            ),
            ProjectView,
            body=body,
        )
        return found

    def patch_users_user(self, user: str, body: UserPatch | None = None) -> UserView:
        """Change a user."""
        found: UserView = self._call(
            "PATCH",
            (
                "users",
                user,
            ),
            UserView,
            body=body,
        )
        return found

    def post_admin_exceptions_read(self, body: Read | None = None) -> Counted:
        """Mark faults as read."""
        found: Counted = self._call(
            "POST",
            (
                "admin",
                "exceptions",
                "read",
            ),
            Counted,
            body=body,
        )
        return found

    def post_admin_mail_id_again(self, id: str, body: Nothing | None = None) -> None:
        """Try a letter again now."""
        self._call(
            "POST",
            (
                "admin",
                "mail",
                id,
                "again",
            ),
            None,
            body=body,
        )

    def post_admin_mail_test(self, body: MailTest) -> Tested:
        """Send a test."""
        found: Tested = self._call(
            "POST",
            (
                "admin",
                "mail",
                "test",
            ),
            Tested,
            body=body,
        )
        return found

    def post_admin_sessions_stop(self, body: AdminChosen) -> Stopped:
        """Stop sessions together."""
        found: Stopped = self._call(
            "POST",
            (
                "admin",
                "sessions",
                "stop",
            ),
            Stopped,
            body=body,
        )
        return found

    def post_datacenters(self, body: DataCenterBody) -> DataCenterView:
        """Add one."""
        found: DataCenterView = self._call("POST", ("datacenters",), DataCenterView, body=body)
        return found

    def post_invitations(self, body: NewInvitation | None = None) -> InvitationView:
        """Invite."""
        found: InvitationView = self._call("POST", ("invitations",), InvitationView, body=body)
        return found

    def post_jobs_id_retry(self, id: str, body: Nothing | None = None) -> JobView:
        """Try a job again."""
        found: JobView = self._call(
            "POST",
            (
                "jobs",
                id,
                "retry",
            ),
            JobView,
            body=body,
        )
        return found

    def post_nodes_invitations(self, body: InviteWish) -> NodeInvitationView:
        """Invite a host to be a node."""
        found: NodeInvitationView = self._call(
            "POST",
            (
                "nodes",
                "invitations",
            ),
            NodeInvitationView,
            body=body,
        )
        return found

    def post_nodes_node_remove(self, node: str) -> None:
        """Take away all that a node was given."""
        self._call(
            "POST",
            (
                "nodes",
                node,
                "remove",
            ),
            None,
        )

    def post_projects(self, body: NewProject) -> ProjectView:
        """Make a project."""
        found: ProjectView = self._call("POST", ("projects",), ProjectView, body=body)
        return found

    def post_projects_owner_name_copy(self, owner: str, name: str, body: CopyName | None = None) -> MadeView:
        """Copy a project."""
        found: MadeView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "copy",
            ),
            MadeView,
            body=body,
        )
        return found

    def post_projects_owner_name_dashboards(self, owner: str, name: str, body: DashboardSpec) -> DashboardView:
        """Deploy a dashboard."""
        found: DashboardView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "dashboards",
            ),
            DashboardView,
            body=body,
        )
        return found

    def post_projects_owner_name_discard(self, owner: str, name: str, body: Deletion | None = None) -> ProjectView:
        """Delete; it can be restored."""
        found: ProjectView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "discard",
            ),
            ProjectView,
            body=body,
        )
        return found

    def post_projects_owner_name_environments(
        self, owner: str, name: str, body: NewEnvironment | None = None
    ) -> ChangeReport:
        """Make an environment."""
        found: ChangeReport = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "environments",
            ),
            ChangeReport,
            body=body,
        )
        return found

    def post_projects_owner_name_environments_environment_packages(
        self, owner: str, name: str, environment: str, body: PackagesChange | None = None
    ) -> ChangeReport:
        """Install or remove."""
        found: ChangeReport = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "environments",
                environment,
                "packages",
            ),
            ChangeReport,
            body=body,
        )
        return found

    def post_projects_owner_name_environments_environment_roll_back(
        self, owner: str, name: str, environment: str, body: Moment
    ) -> ChangeReport:
        """Go back in its history."""
        found: ChangeReport = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "environments",
                environment,
                "roll-back",
            ),
            ChangeReport,
            body=body,
        )
        return found

    def post_projects_owner_name_environments_stop(self, owner: str, name: str, body: GoingOn) -> ChangeReport:
        """End a change that goes on."""
        found: ChangeReport = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "environments",
                "stop",
            ),
            ChangeReport,
            body=body,
        )
        return found

    def post_projects_owner_name_invitations(
        self, owner: str, name: str, body: NewTeamLink | None = None
    ) -> TeamLinkView:
        """Invite into the team by a link."""
        found: TeamLinkView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "invitations",
            ),
            TeamLinkView,
            body=body,
        )
        return found

    def post_projects_owner_name_links(self, owner: str, name: str, body: NewLink) -> LinkView:
        """Share a file or folder by a link."""
        found: LinkView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "links",
            ),
            LinkView,
            body=body,
        )
        return found

    def post_projects_owner_name_permissions_repair(self, owner: str, name: str) -> JobView:
        """Bring files in line."""
        found: JobView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "permissions",
                "repair",
            ),
            JobView,
        )
        return found

    def post_projects_owner_name_publications(self, owner: str, name: str, body: NewPublication) -> PublicationView:
        """Publish a file or folder."""
        found: PublicationView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "publications",
            ),
            PublicationView,
            body=body,
        )
        return found

    def post_projects_owner_name_publications_id_versions(
        self, owner: str, name: str, id: str, body: Nothing | None = None
    ) -> PublicationView:
        """Publish a new version."""
        found: PublicationView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "publications",
                id,
                "versions",
            ),
            PublicationView,
            body=body,
        )
        return found

    def post_projects_owner_name_rename(self, owner: str, name: str, body: NewName) -> ProjectView:
        """Rename a stopped project."""
        found: ProjectView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "rename",
            ),
            ProjectView,
            body=body,
        )
        return found

    def post_projects_owner_name_reset(self, owner: str, name: str) -> ProjectView:
        """End whatever is left."""
        found: ProjectView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "reset",
            ),
            ProjectView,
        )
        return found

    def post_projects_owner_name_restore(self, owner: str, name: str) -> ProjectView:
        """Have a deleted project back."""
        found: ProjectView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "restore",
            ),
            ProjectView,
        )
        return found

    def post_projects_owner_name_revisions(self, owner: str, name: str, body: NewRevision) -> Committed:
        """Commit the chosen files."""
        found: Committed = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "revisions",
            ),
            Committed,
            body=body,
        )
        return found

    def post_projects_owner_name_revisions_begin(
        self, owner: str, name: str, body: Folder | None = None
    ) -> RevisionStatus:
        """Make a repository of a folder."""
        found: RevisionStatus = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "revisions",
                "begin",
            ),
            RevisionStatus,
            body=body,
        )
        return found

    def post_projects_owner_name_revisions_clone(self, owner: str, name: str, body: Remote) -> ErrandReport:
        """Clone a remote into a folder."""
        found: ErrandReport = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "revisions",
                "clone",
            ),
            ErrandReport,
            body=body,
        )
        return found

    def post_projects_owner_name_revisions_key(self, owner: str, name: str, body: Nothing | None = None) -> GitKey:
        """Make that key."""
        found: GitKey = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "revisions",
                "key",
            ),
            GitKey,
            body=body,
        )
        return found

    def post_projects_owner_name_revisions_remote_act(
        self, owner: str, name: str, act: str, body: Folder | None = None
    ) -> ErrandReport:
        """fetch, pull or push."""
        found: ErrandReport = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "revisions",
                "remote",
                act,
            ),
            ErrandReport,
            body=body,
        )
        return found

    def post_projects_owner_name_revisions_restore(self, owner: str, name: str, body: GoBack) -> Restored:
        """A file, or all, as it was then."""
        found: Restored = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "revisions",
                "restore",
            ),
            Restored,
            body=body,
        )
        return found

    def post_projects_owner_name_schedules(self, owner: str, name: str, body: NewSchedule) -> ScheduleView:
        """Schedule a notebook."""
        found: ScheduleView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "schedules",
            ),
            ScheduleView,
            body=body,
        )
        return found

    def post_projects_owner_name_schedules_id_runs(
        self, owner: str, name: str, id: str, body: Nothing | None = None
    ) -> RunView:
        """Run it now."""
        found: RunView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "schedules",
                id,
                "runs",
            ),
            RunView,
            body=body,
        )
        return found

    def post_projects_owner_name_sessions(self, owner: str, name: str, body: NewSession) -> SessionViewOfApi:
        """Open an app."""
        found: SessionViewOfApi = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "sessions",
            ),
            SessionViewOfApi,
            body=body,
        )
        return found

    def post_projects_owner_name_space_measure(self, owner: str, name: str, body: Nothing | None = None) -> ProjectView:
        """Measure its space on the disk."""
        found: ProjectView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "space",
                "measure",
            ),
            ProjectView,
            body=body,
        )
        return found

    def post_projects_owner_name_start(self, owner: str, name: str) -> ProjectView:
        """Start."""
        found: ProjectView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "start",
            ),
            ProjectView,
        )
        return found

    def post_projects_owner_name_stop(self, owner: str, name: str) -> ProjectView:
        """Stop, with all sessions."""
        found: ProjectView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "stop",
            ),
            ProjectView,
        )
        return found

    def post_projects_owner_name_transfer(self, owner: str, name: str, body: NewOwner) -> ProjectView:
        """Pass a stopped project on."""
        found: ProjectView = self._call(
            "POST",
            (
                "projects",
                owner,
                name,
                "transfer",
            ),
            ProjectView,
            body=body,
        )
        return found

    def post_searches(self, body: NewSearch) -> SavedView:
        """Keep a search."""
        found: SavedView = self._call("POST", ("searches",), SavedView, body=body)
        return found

    def post_sessions_id_keep(self, id: str, body: Keep) -> SessionViewOfApi:
        """Keep an idle session for some hours."""
        found: SessionViewOfApi = self._call(
            "POST",
            (
                "sessions",
                id,
                "keep",
            ),
            SessionViewOfApi,
            body=body,
        )
        return found

    def post_users(self, body: NewUser) -> NewUserView:
        """Make a user."""
        found: NewUserView = self._call("POST", ("users",), NewUserView, body=body)
        return found

    def post_users_user_keys(self, user: str, body: NewKey) -> PublicKey:
        """Add an SSH key."""
        found: PublicKey = self._call(
            "POST",
            (
                "users",
                user,
                "keys",
            ),
            PublicKey,
            body=body,
        )
        return found

    def post_users_user_reset_link(self, user: str, body: NewReset | None = None) -> ResetView:
        """Make a password link."""
        found: ResetView = self._call(
            "POST",
            (
                "users",
                user,
                "reset-link",
            ),
            ResetView,
            body=body,
        )
        return found

    def post_users_user_sign_out(self, user: str) -> None:
        """End all browser logins."""
        self._call(
            "POST",
            (
                "users",
                user,
                "sign-out",
            ),
            None,
        )

    def post_users_user_tokens(self, user: str, body: NewToken | None = None) -> TokenView:
        """Make an API token."""
        found: TokenView = self._call(
            "POST",
            (
                "users",
                user,
                "tokens",
            ),
            TokenView,
            body=body,
        )
        return found

    def put_admin_jobs_id_priority(self, id: str, body: Priority) -> JobView:
        """Order the queue."""
        found: JobView = self._call(
            "PUT",
            (
                "admin",
                "jobs",
                id,
                "priority",
            ),
            JobView,
            body=body,
        )
        return found

    def put_admin_settings_name(self, name: str, body: NewValue) -> SettingView:
        """Change a setting."""
        found: SettingView = self._call(
            "PUT",
            (
                "admin",
                "settings",
                name,
            ),
            SettingView,
            body=body,
        )
        return found

    def put_me_picture(self, body: NewPicture) -> None:
        """Show oneself by a picture."""
        self._call(
            "PUT",
            (
                "me",
                "picture",
            ),
            None,
            body=body,
        )

    def put_nodes_node_drain(self, node: str, body: DrainBody | None = None) -> NodeView:
        """Start nothing new there, or again."""
        found: NodeView = self._call(
            "PUT",
            (
                "nodes",
                node,
                "drain",
            ),
            NodeView,
            body=body,
        )
        return found

    def put_projects_owner_name_dashboards_id(
        self, owner: str, name: str, id: str, body: DashboardSpec
    ) -> DashboardView:
        """Change a dashboard, at the same address."""
        found: DashboardView = self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "dashboards",
                id,
            ),
            DashboardView,
            body=body,
        )
        return found

    def put_projects_owner_name_environment(
        self, owner: str, name: str, body: EnvironmentsChosen
    ) -> EnvironmentsChosen:
        """Choose the active environment."""
        found: EnvironmentsChosen = self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "environment",
            ),
            EnvironmentsChosen,
            body=body,
        )
        return found

    def put_projects_owner_name_publications_id(
        self, owner: str, name: str, id: str, body: About | None = None
    ) -> PublicationView:
        """Change its words, and whom it is for."""
        found: PublicationView = self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "publications",
                id,
            ),
            PublicationView,
            body=body,
        )
        return found

    def put_projects_owner_name_revisions_remote(self, owner: str, name: str, body: Remote) -> None:
        """Say where the remote is."""
        self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "revisions",
                "remote",
            ),
            None,
            body=body,
        )

    def put_projects_owner_name_rights(self, owner: str, name: str, body: NewRights) -> PathRights:
        """Set what people may do with one file."""
        found: PathRights = self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "rights",
            ),
            PathRights,
            body=body,
        )
        return found

    def put_projects_owner_name_schedules_id(self, owner: str, name: str, id: str, body: Paused) -> ScheduleView:
        """Pause it, or let it go on."""
        found: ScheduleView = self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "schedules",
                id,
            ),
            ScheduleView,
            body=body,
        )
        return found

    def put_projects_owner_name_space(self, owner: str, name: str, body: SpaceLimit | None = None) -> ProjectView:
        """Bound its space on the disk."""
        found: ProjectView = self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "space",
            ),
            ProjectView,
            body=body,
        )
        return found

    def put_projects_owner_name_star(self, owner: str, name: str) -> ProjectView:
        """Star."""
        found: ProjectView = self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "star",
            ),
            ProjectView,
        )
        return found

    def put_projects_owner_name_team_user(
        self, owner: str, name: str, user: str, body: Place | None = None
    ) -> PageOfMemberView:
        """Add somebody or change their role."""
        found: PageOfMemberView = self._call(
            "PUT",
            (
                "projects",
                owner,
                name,
                "team",
                user,
            ),
            PageOfMemberView,
            body=body,
        )
        return found

    def put_settings_registration(self, body: Registration) -> Registration:
        """Open or close."""
        found: Registration = self._call(
            "PUT",
            (
                "settings",
                "registration",
            ),
            Registration,
            body=body,
        )
        return found

    def put_users_user_allowance(self, user: str, body: Allowance | None = None) -> UserView:
        """Say how much a user may take."""
        found: UserView = self._call(
            "PUT",
            (
                "users",
                user,
                "allowance",
            ),
            UserView,
            body=body,
        )
        return found

    def put_users_user_password(self, user: str, body: NewPassword) -> None:
        """Set a password."""
        self._call(
            "PUT",
            (
                "users",
                user,
                "password",
            ),
            None,
            body=body,
        )
