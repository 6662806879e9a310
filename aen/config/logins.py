"""The configuration of how people sign in: back ends, the second factor, what a first login does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from aen.config.section import Section


class Ldap(Section):
    """LDAP or Active Directory."""

    servers: list[str] = Field(
        [], description="ldap://host or ldaps://host, with :port if need be; asked in this order until one answers."
    )
    start_tls: bool = Field(
        True, description="ldap:// is encrypted by StartTLS before anything is said; without, passwords cross in clear."
    )
    ca: Path | None = Field(
        None, description="PEM file with the authorities that sign the servers' certificates. Empty: the system's."
    )
    seconds: float = Field(5, description="One server may take so long for each answer.", gt=0, le=60)
    bind_dn: str = Field(
        "", description="Search and bind: the account that searches, by its DN or, in AD, name@domain."
    )
    bind_password: SecretStr = Field(
        SecretStr(""), description="Its password; better in AEN_SERVER__LOGIN__LDAP__BIND_PASSWORD."
    )
    user_dn: str = Field(
        "",
        description="Direct bind, without an account that searches: people's DN, as uid={name},ou=people,dc=example,dc=org, or {name}@example.org.",
    )
    base: str = Field("", description="Where people are looked for, as ou=people,dc=example,dc=org.")
    filter: str = Field(
        "(uid={name})", description="How a person is found; {name} is what they typed. AD: (sAMAccountName={name})."
    )
    name_attribute: str = Field("uid", description="Holds the user name, in lower case. AD: sAMAccountName.")
    full_name_attribute: str = Field("cn", description="Holds the full name. AD: displayName.")
    email_attribute: str = Field("mail", description="Holds the e-mail address.")
    id_attribute: str = Field(
        "entryUUID", description="Tells two people of one name apart, for good. AD: objectGUID. Empty: the DN."
    )
    domains: list[str] = Field(
        [],
        description="Names typed as DOMAIN\\name or name@domain are taken apart when the domain is one of these; others are refused.",
    )
    group_base: str = Field("", description="Where groups are looked for. Empty: `base`.")
    group_filter: str = Field(
        "(|(member={dn})(uniqueMember={dn})(memberUid={name}))",
        description="How the groups of a person are found. AD, nested: (member:1.2.840.113556.1.4.1941:={dn}).",
    )
    groups: list[str] = Field([], description="Only people in one of these groups (DN) may sign in. Empty: all.")
    admin_groups: list[str] = Field(
        [], description="People in one of these groups (DN) are administrators, others not."
    )
    staff_groups: list[str] = Field([], description="People in one of these groups (DN) are of the staff, others not.")


class Oidc(Section):
    """OpenID Connect: people sign in at a provider (Keycloak, Entra ID, Google, GitLab …)."""

    title: str = Field("single sign-on", description="What stands on the button: Sign in with …")
    issuer: str = Field("", description="The provider's issuer, as https://sso.example.org/realms/main.")
    client_id: str = Field("", description="What the provider calls AEN.")
    client_secret: SecretStr = Field(
        SecretStr(""),
        description="Its secret; better in AEN_SERVER__LOGIN__OIDC__CLIENT_SECRET. Empty: a public client.",
    )
    scopes: list[str] = Field(["openid", "profile", "email"], description="What is asked of the provider.")
    name: str = Field(
        "{preferred_username}",
        description="How the user name is made of claims; {email_local} is what stands before the @ of a verified e-mail address.",
    )
    groups_claim: str = Field("groups", description="The claim that lists a person's groups.")
    groups: list[str] = Field([], description="Only people in one of these groups may sign in. Empty: all.")
    admin_groups: list[str] = Field([], description="People in one of these groups are administrators, others not.")
    staff_groups: list[str] = Field([], description="People in one of these groups are of the staff, others not.")
    logout: bool = Field(True, description="Signing out of AEN signs out at the provider too, where it offers that.")
    days: float = Field(1, description="A login by the provider ends so many days after it was made.", gt=0)
    ca: Path | None = Field(None, description="PEM file with the authority of the provider's certificate.")
    seconds: float = Field(10, description="The provider may take so long for each answer.", gt=0, le=60)


class Login(Section):
    """Logins in a browser."""

    days: float = Field(14, description="A login ends so many days after it was made.", gt=0)
    attempts: int = Field(
        10, description="Failed attempts per account and per address before waiting is asked for.", ge=1
    )
    backends: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]] = Field(
        ["local"],
        description="Who checks passwords or signs people in, in this order: local, pam, ldap, oidc or a plug-in. Local administrators always may.",
        min_length=1,
    )
    create: bool = Field(
        True,
        description="The first login by a back end other than local makes the account. Off: an administrator does.",
    )
    domains: list[str] = Field(
        [],
        description="A first login makes an account only for verified e-mail addresses of these domains. Empty: all.",
    )
    recheck_minutes: float = Field(
        60,
        description="Whoever the directory does not know any more is signed out after so long, API tokens too; 0: never asked.",
        ge=0,
    )
    second_factor: Literal["optional", "administrators", "everybody"] = Field(
        "optional",
        description="Who must give a code of an authenticator app besides the password; `administrators`: staff, too.",
    )
    ldap: Ldap = Field(default_factory=Ldap)
    oidc: Oidc = Field(default_factory=Oidc)
