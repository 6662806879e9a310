"""The configuration of what people without an account may look at."""

from __future__ import annotations

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
    link_days: int = Field(30, description="The longest that a link may live, in days.", ge=1, le=3650)
