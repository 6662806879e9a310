"""The configuration's model: type, default and help of every option, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from aen.config.ground import BusOptions, StoreOptions
from aen.config.logins import Login
from aen.config.search import Archives, Search
from aen.config.section import Section
from aen.config.sessions import Idle, Limits, NodeLimits, People, Space
from aen.config.sharing import Acl, Sharing
from aen.config.site import Deletion, Mail, NewProjects, Records, Registration
from aen.config.sizes import size_in_bytes


class Tls(Section):
    """A certificate (one PEM chain) and its key."""

    cert: Path | None = Field(None, description="PEM file with the certificate and its chain, leaf first.")
    key: Path | None = Field(None, description="PEM file with the private key, without a passphrase.")


class Accounts(Section):
    """Linux accounts of people on compute nodes."""

    mode: Literal["auto", "managed", "existing", "single"] = Field(
        "auto",
        description="managed: AEN makes them; existing: they must be there; single: everything runs as the user who started AEN; auto: managed as root, else single.",
    )
    first_uid: int = Field(
        20000, description="managed: the lowest uid that AEN gives (a recreated name gets a new one).", ge=1000
    )
    shell: str = Field(
        "/bin/bash",
        description="managed: the login shell of accounts that AEN makes. Terminals are in bash, or in zsh where that is a person's login shell.",
        pattern=r"^/[A-Za-z0-9._/-]{1,200}$",
    )
    pam_service: str = Field(
        "",
        description="The PAM service (a file in /etc/pam.d, as aen) that checks passwords of Linux accounts, for logins by PAM. Empty: PAM is never asked.",
        pattern=r"^([a-z][a-z0-9._-]{0,63})?$",
    )


class Ops(Section):
    """The operations page."""

    listen: str = Field(
        "127.0.0.1:8088",
        description="Where /-/live, /-/ready, /-/health and /-/metrics answer (host:port; port 0: any; off: nowhere).",
    )


class Log(Section):
    """The log."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is written. [live]")
    format: Literal["auto", "text", "json"] = Field(
        "auto", description="text on a terminal and JSON otherwise (auto), or always one of them."
    )


class Server(Section):
    """The server: accounts, projects, pages, API."""

    listen: str = Field(
        "",
        description="host:port, or unix:/path behind a front proxy. Empty: 80 (443 with TLS) as root, else 8080; on 127.0.0.1 in evaluation mode.",
    )
    url: str = Field(
        "",
        description="The address people use, as https://aen.example.org (or with a path, https://example.org/aen, that a front proxy takes off). Empty: made from `listen`.",
    )
    tls: Tls = Field(default_factory=Tls)
    redirect_listen: str = Field("", description="host:port of a listener that only redirects to `url`.")
    trusted_proxies: list[str] = Field(
        [], description="Addresses or networks whose X-Forwarded-* headers are believed."
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Encrypts login cookies; at least 32 characters. Empty: made at first start and kept in the data directory.",
    )
    registration: Registration = Field(default_factory=Registration)
    login: Login = Field(default_factory=Login)


class GatewayLimits(Section):
    """What one client may take."""

    head_bytes: int = Field(32768, description="Longest request or response head, bytes.", ge=1024)
    headers: int = Field(128, description="Most header lines in one head.", ge=8)
    head_seconds: float = Field(15, description="A head must be complete after so many seconds.", gt=0)
    connect_seconds: float = Field(5, description="Connecting to an app may take so long.", gt=0)
    first_byte_seconds: float = Field(
        600,
        description="An app may take so long before it begins to answer, and a body so long between two of its parts.",
        gt=0,
    )
    idle_seconds: float = Field(
        75, description="A kept-alive connection is closed after so long without a request.", gt=0
    )
    body_bytes: int = Field(0, description="Largest request body, bytes; 0: no limit.", ge=0)
    bodies: dict[str, Annotated[int, Field(ge=0)]] = Field(
        {}, description="The same for single app servers, by name, as {jupyter: 1073741824}."
    )
    connections: int = Field(
        2048, description="Connections that one person may have open at the same time; 0: no limit.", ge=0
    )


class Gateway(Section):
    """The gateway: leads people to their apps."""

    listen: str = Field("", description="host:port. Empty: port 8089; on 127.0.0.1 in evaluation mode.")
    url: str = Field(
        "", description="The address people's browsers reach it by; may hold {project}. Empty: made from `listen`."
    )
    api_url: str = Field(
        "", description="A second address for scripts, API tokens only, used when `url` holds {project}."
    )
    datacenter: str = Field("main", description="The data center that this gateway (or compute node) belongs to.")
    workers: int = Field(1, description="Data plane processes; more than one needs a gateway of its own.", ge=1)
    share_port: bool = Field(
        False,
        description="Another gateway process of the same account that says so too may listen on the same port, with a data_dir and run_dir of its own: for an upgrade without a gap.",
    )
    hsts_seconds: int = Field(
        0,
        description="Browsers that were here over TLS come back by TLS only, for so long (Strict-Transport-Security); 0: say nothing of it.",
        ge=0,
    )
    tls: Tls = Field(default_factory=Tls)
    redirect_listen: str = Field("", description="host:port of a listener that only redirects to `url`.")
    trusted_proxies: list[str] = Field(
        [], description="Addresses or networks whose X-Forwarded-* headers are believed."
    )
    limits: GatewayLimits = Field(default_factory=GatewayLimits)
    access_log: Literal["combined", "json", "off"] = Field(
        "combined",
        description="The form of <data_dir>/gateway/access.log, as web servers write it or JSON. No queries.",
    )
    drain_seconds: float = Field(10, description="At the end, requests under way may take so long.", ge=0)


class Compute(Section):
    """A compute node: holds projects and runs apps."""

    listen: str = Field(
        "",
        description="host:port for gateways on other hosts (default 5002); not opened where a gateway runs in the same process.",
    )
    address: str = Field(
        "", description="host:port by which gateways reach this node. Empty: this host's name and the port of `listen`."
    )
    connections: int = Field(
        8192, description="Connections that gateways may have open to this node at the same time.", ge=16
    )
    name: str = Field("", description="The node's name. Empty: the host's name.")
    project_root: Path = Field(
        Path(),
        description="Where projects live (AEN 4: projectRoot). Empty: /projects as root, else <data_dir>/projects.",
    )
    storage: str = Field(
        "",
        description="A name for storage that several nodes of a data center share as their project root: any of them may then run a project that lies there. Empty: this node's own.",
        pattern=r"^([a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?)?$",
    )
    lease_seconds: float = Field(
        60,
        description="With `storage`: a node that the server has not answered for so long ends the apps of its projects, and then they may be started on another node that shares the storage. 0: a silent node keeps its projects until it is removed.",
        ge=0,
        le=3600,
    )
    placement: str = Field(
        "room",
        description="server: the rule that chooses a compute node for a project; room: most free memory for each session.",
    )
    skeleton: Path = Field(Path(), description="What a new project is copied from. Empty: the one that comes with AEN.")
    starts: int = Field(
        0, description="App servers that may start at the same time; 0: as many as there are processors.", ge=0
    )
    ready_seconds: float = Field(90, description="An app server must answer after so many seconds.", gt=0)
    stop_seconds: float = Field(10, description="After so many seconds an app that was told to end is killed.", gt=0)
    app_log: str = Field(
        "10M", description="The log of one app server may grow so large; then its older part is cut off."
    )
    limits: NodeLimits = Field(default_factory=NodeLimits)
    idle: Idle = Field(default_factory=Idle)

    @field_validator("app_log", mode="before")
    @classmethod
    def _app_log(cls, value: object) -> str:
        text = str(value).strip()
        if not 4 << 10 <= size_in_bytes(text) <= 1 << 50:
            raise ValueError("must be at least 4K, as 10M or 1G")
        return text

    @property
    def app_log_bytes(self) -> int:
        """`app_log` in bytes."""
        return size_in_bytes(self.app_log)


class Environments(Section):
    """Environments of projects."""

    backend: str = Field("venv", description="venv (uv and a package index), or conda.")
    channels: list[str] = Field([], description="conda: channels, file:// included.")
    executable: Path | None = Field(
        None, description="conda: a conda, mamba or micromamba to use instead of the built-in one."
    )
    packages: list[str] = Field(
        [],
        description="Packages of the default environment, besides ipykernel and pip. Empty: the list that comes with AEN.",
    )


class App(Section):
    """An app told in YAML: any HTTP server that takes a socket or port and a prefix; or `limits` of a built-in one."""

    title: str = Field("", description="What people see.")
    icon: str = Field("app", description="Name of an icon.")
    command: list[str] = Field(
        description="Program and arguments; {socket} {port} {prefix} {project} {user} are replaced."
    )
    ready: str = Field("", description="A path below the prefix that answers once the app is up.")
    shared: bool = Field(False, description="One for the whole team, run as the project's owner.")
    strip_prefix: bool = Field(False, description="Take the prefix off the path before the app sees it.")
    env: dict[str, str] = Field({}, description="Environment variables.")
    limits: Limits = Field(default_factory=Limits)

    @model_validator(mode="before")
    @classmethod
    def _of_a_built_in_one(cls, data: Any) -> Any:
        """Limits alone are about a built-in app server, which has a command."""
        return {**data, "command": []} if isinstance(data, dict) and set(data) == {"limits"} else data


class Config(Section):
    """All of it."""

    data_dir: Path = Field(Path(), description="What AEN keeps. Empty: /var/lib/aen as root, else $XDG_DATA_HOME/aen.")
    run_dir: Path = Field(
        Path(),
        description="Sockets. Empty: /run/aen as root, else $XDG_RUNTIME_DIR/aen-<hash> or a private temporary folder.",
    )
    envs_dir: Path = Field(
        Path(),
        description="Root environments. Empty: /opt/aen/envs as root, else <data_dir>/envs. Best on one file system with the projects.",
    )
    service_account: str = Field(
        "aen", description="The account AEN runs as when it is started by root (AEN 4: AEN_SRVC_ACCT)."
    )
    accounts: Accounts = Field(default_factory=Accounts)
    ops: Ops = Field(default_factory=Ops)
    log: Log = Field(default_factory=Log)
    server: Server = Field(default_factory=Server)
    gateway: Gateway = Field(default_factory=Gateway)
    compute: Compute = Field(default_factory=Compute)
    space: Space = Field(default_factory=Space)
    people: People = Field(default_factory=People)
    acl: Acl = Field(default_factory=Acl)
    sharing: Sharing = Field(default_factory=Sharing)
    new_projects: NewProjects = Field(default_factory=NewProjects)
    deletion: Deletion = Field(default_factory=Deletion)
    records: Records = Field(default_factory=Records)
    mail: Mail = Field(default_factory=Mail)
    environments: Environments = Field(default_factory=Environments)
    store: StoreOptions = Field(default_factory=StoreOptions)
    bus: BusOptions = Field(default_factory=BusOptions)
    search: Search = Field(default_factory=Search)
    archives: Archives = Field(default_factory=Archives)
    apps: dict[str, App] = Field({}, description="Apps besides the built-in ones, by name.")
