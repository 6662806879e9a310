"""The configuration of what people meet: who may come, what a new project is, and mail."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from aen.config.section import Section

LEAST_DAYS = 30  # for which records of what people did stay, whatever is set


class Registration(Section):
    """Who may sign up."""

    open: bool = Field(
        False,
        description="Anybody who reaches the server may make an account. Can be changed by an administrator in the browser.",
    )
    domains: list[str] = Field(
        [],
        description="Only with an e-mail address of these domains, as [example.org]; with `mail` set up the address is proved first. Empty: any. Can be changed in the browser.",
    )

    @field_validator("domains")
    @classmethod
    def _domains(cls, given: list[str]) -> list[str]:
        return [domain(text) for text in given]


class NewProjects(Section):
    """What a new project is like."""

    visibility: Literal["private", "public"] = Field(
        "private",
        description="Who sees a new project, unless its maker says otherwise: its team, or everybody. Can be changed in the browser.",
    )


class Deletion(Section):
    """What becomes of a project that its owner deletes."""

    grace_days: int = Field(
        7,
        description="For so many days a deleted project can be had back. 0: it is gone at once. Can be changed in the browser.",
        ge=0,
        le=365,
    )


class Records(Section):
    """How long records of what people did are kept. The last 30 days always are."""

    security_days: int = Field(
        400,
        description="For so many days records of the security log are kept; 0: for ever, else at least 30. Days on which AEN did not run don't count. Can be changed in the browser.",
        ge=0,
        le=36_500,
    )
    activity_days: int = Field(
        400,
        description="The same of all other records: what was done in projects, as their pages show it. Can be changed in the browser.",
        ge=0,
        le=36_500,
    )

    @field_validator("security_days", "activity_days")
    @classmethod
    def _days(cls, given: int) -> int:
        return kept_days(given)


class Mail(Section):
    """Mail that AEN sends: notifications, invitations, reports. Nothing is sent without a host."""

    host: str = Field("", description="The SMTP server's name. Empty: AEN sends no mail.")
    port: int = Field(587, description="Its port: 587 with starttls, 465 with tls.", ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="starttls: encrypted after the greeting, or nothing is sent; tls: from the first byte; none: in the clear, for a server on this machine.",
    )
    user: str = Field("", description="Who AEN is at the SMTP server. Empty: it does not say.")
    password: SecretStr = Field(SecretStr(""), description="The password of `user`.")
    sender: str = Field("", description="The address that mail comes from, as aen@example.org. Needed with a host.")
    per_hour: int = Field(30, description="The most that one person is sent in an hour.", ge=1)
    daily: bool = Field(
        False, description="Administrators get the daily report by mail. Can be changed in the browser."
    )

    @field_validator("sender")
    @classmethod
    def _sender(cls, given: str) -> str:
        if given and (given.count("@") != 1 or any(c.isspace() or not c.isprintable() for c in given)):
            raise ValueError("must be one address, as aen@example.org")
        return given


def kept_days(given: int) -> int:
    """For how many days records are kept. Raises ValueError: nobody takes away what was done in the last weeks."""
    if 0 < given < LEAST_DAYS:
        raise ValueError(f"records are kept for at least {LEAST_DAYS} days, or for ever (0)")
    return given


def domain(text: str) -> str:
    """A domain of e-mail addresses in the form in which it is compared. Raises ValueError."""
    plain = text.strip().lower().removeprefix("@")
    fine = plain and plain.isascii() and all(c.isalnum() or c in ".-" for c in plain) and "." in plain
    if not fine or plain.startswith((".", "-")) or plain.endswith((".", "-")) or len(plain) > 253:
        raise ValueError(f"{text[:60]!r} is no domain of e-mail addresses, as example.org")
    return plain
