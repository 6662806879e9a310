"""The configuration of what people without an account may look at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aen.config.section import Section


class Sharing(Section):
    """What people without an account may look at, through the Viewer. Nothing can be changed or run that way."""

    public_account: str = Field(
        "aen-public",
        description="The Linux account (ANON_USER) that shows public projects to people without an account; made or required like people's. Empty: they see none.",
        pattern=r"^([a-z][a-z0-9_-]{0,30}[a-z0-9])?$",
    )
    links: bool = Field(
        True, description="Members may share a file or folder outside the team by a link. Off: existing ones end too."
    )
    dashboards: Literal["auto", "team", "signed_in"] = Field(
        "auto",
        description="Whom members may show dashboards to: their team, or also people outside it and everybody signed in. auto: others only where each project is an origin of its own (gateway.url with {project}), because a dashboard's scripts run in the browsers of those who look.",
    )
    link_days: int = Field(30, description="The longest that a link may live, in days.", ge=1, le=3650)


class Acl(Section):
    """Permissions of project files."""

    group: Literal["private-only", "always", "never"] = Field(
        "private-only",
        description="Whether the owner's primary group gets rights: only when it is private to the owner, always, or never.",
    )
    subject: Literal["users", "group"] = Field(
        "users", description="Team members get rights by name (users) or by one group for each project (group)."
    )
