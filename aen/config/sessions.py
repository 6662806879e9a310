"""The configuration of sessions: what one may take, and when one that nobody uses is stopped."""

from __future__ import annotations

from pydantic import Field, field_validator

from aen.config.section import Section
from aen.config.sizes import size_in_bytes


class Limits(Section):
    """What one session may take: kept for all of it by systemd or control groups, else for each process (rlimits)."""

    memory: str = Field("", description="Memory, as 4G or 512M. Empty: no limit.")
    cpus: float = Field(0, description="Processors, as 1.5 (control groups only); 0: no limit.", ge=0)
    processes: int = Field(0, description="Processes and threads; 0: no limit.", ge=0)
    files: int = Field(0, description="Open files of one process; 0: as the system has it.", ge=0)

    @field_validator("memory", mode="before")
    @classmethod
    def _memory(cls, value: object) -> str:
        text = str(value).strip()
        if text and not 16 << 20 <= size_in_bytes(text) <= 1 << 50:
            raise ValueError("must be at least 16M, as 4G or 512M")
        return text

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes; 0: no limit."""
        return size_in_bytes(self.memory) if self.memory else 0


class Space(Section):
    """What projects may take on the disk. Warned of at `soft`; over `hard` no app starts but the Workbench, to clean up."""

    project_soft: str = Field("", description="One project, as 20G: beyond it its page warns. Empty: no bound.")
    project_hard: str = Field(
        "", description="One project: beyond it nothing is started or installed. Empty: no bound."
    )
    user_soft: str = Field("", description="All projects of one owner together: beyond it their pages warn.")
    user_hard: str = Field("", description="All projects of one owner together: beyond it nothing is started.")
    minutes: float = Field(10, description="What runs is measured so often, with the lowest priority.", gt=0)

    @field_validator("project_soft", "project_hard", "user_soft", "user_hard", mode="before")
    @classmethod
    def _size(cls, value: object) -> str:
        text = str(value).strip()
        if text and not 1 << 20 <= size_in_bytes(text) <= 1 << 60:
            raise ValueError("must be at least 1M, as 500M or 20G")
        return text

    def bytes(self, name: str) -> int:
        """One of the bounds in bytes; 0: none."""
        text = getattr(self, name)
        return size_in_bytes(text) if text else 0


class NodeLimits(Limits):
    """What one session may take, whatever the app (`apps.<name>.limits` says otherwise for one app)."""

    processes: int = Field(4096, description="Processes and threads; 0: no limit.", ge=0)
    files: int = Field(65536, description="Open files of one process; 0: as the system has it.", ge=0)


class People(Section):
    """How much one person may take; administrators change it while AEN runs, and for single people on their pages."""

    projects: int = Field(0, description="Projects that one person may own; 0: as many as they like.", ge=0)
    sessions: int = Field(0, description="Sessions that one person may have at a time; 0: as many as they like.", ge=0)


class Idle(Section):
    """Sessions that nobody uses."""

    hours: float = Field(0, description="They are stopped after so many hours without activity; 0: never.", ge=0)
    warning_minutes: float = Field(
        15, description="So long before, the project's page warns, with a button to keep them.", ge=0
    )
    max_keep_hours: float = Field(72, description="The longest that people may keep a session that is idle.", ge=0)
