"""Filling every blank of a configuration, for one machine and the roles that run on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from aen.config.checks import split_listen
from aen.config.files import packaged
from aen.config.ground import BusOptions, StoreOptions
from aen.config.load import ConfigError
from aen.config.machine import Machine
from aen.config.model import Accounts, Compute, Config, Gateway, Server

LONGEST_SOCKET = 107  # bytes in a path, as sun_path has them
#: The longest name that AEN puts below `run_dir`: `<session>/s`, and Jupyter's `<session>/k/<32 characters>-ipc-<n>`.
SOCKET_TAIL = 64


def resolve(
    config: Config, *, roles: tuple[str, ...], machine: Machine, ports: Mapping[str, int] | None = None
) -> Config:
    """The configuration with nothing left blank.

    `ports`: by option ("server", "gateway"), the port that was bound where port 0 was asked for.
    Raises ConfigError with everything that can't work on this machine or with these roles.
    """
    filled = _with_places(config, machine)
    filled = filled.model_copy(
        update={
            "accounts": _accounts(filled.accounts, machine),
            "server": _server(filled.server, machine, (ports or {}).get("server")),
            "compute": _compute(filled.compute, filled.data_dir, machine, roles, (ports or {}).get("compute")),
            "store": filled.store if filled.store.url else StoreOptions(url=f"sqlite:///{filled.data_dir}/aen.db"),
            "bus": _bus(filled.bus, roles),
        }
    )
    beside = filled.server.url if "server" in roles else ""
    gateway = _gateway(filled.gateway, beside, machine, (ports or {}).get("gateway"))
    filled = filled.model_copy(update={"gateway": gateway})
    problems = _problems(filled, machine, roles)
    if problems:
        raise ConfigError(problems)
    return filled


def _with_places(config: Config, machine: Machine) -> Config:
    data = _given(config.data_dir) or (Path("/var/lib/aen") if machine.root else machine.data_home / "aen")
    envs = _given(config.envs_dir) or (Path("/opt/aen/envs") if machine.root else data / "envs")
    run = _given(config.run_dir) or _run_dir(data, machine)
    return config.model_copy(update={"data_dir": data, "envs_dir": envs, "run_dir": run})


def _run_dir(data: Path, machine: Machine) -> Path:
    if machine.root:
        return Path("/run/aen")
    short = hashlib.sha256(str(data).encode()).hexdigest()[:8]
    if machine.runtime_dir is not None:
        return machine.runtime_dir / f"aen-{short}"
    return machine.temporary / f"aen-{machine.uid}-{short}"


def _accounts(accounts: Accounts, machine: Machine) -> Accounts:
    if accounts.mode != "auto":
        return accounts
    return accounts.model_copy(update={"mode": "managed" if machine.root else "single"})


def _server(server: Server, machine: Machine, port: int | None) -> Server:
    secure = server.tls.cert is not None
    usual = (443 if secure else 80) if machine.root else (8443 if secure else 8080)
    listen = server.listen or f"{_interface(machine)}:{usual}"
    url = server.url.rstrip("/") or _url(listen, secure, machine.host, port)
    return server.model_copy(update={"listen": listen, "url": url})


def _gateway(gateway: Gateway, server_url: str, machine: Machine, port: int | None) -> Gateway:
    listen = gateway.listen or f"{_interface(machine)}:8089"
    # People reach both on one box by the same name: the server's, if the administrator has given it.
    host = urlsplit(server_url).hostname or machine.host
    url = gateway.url.rstrip("/") or _url(listen, gateway.tls.cert is not None, host, port)
    return gateway.model_copy(update={"listen": listen, "url": url, "api_url": gateway.api_url.rstrip("/")})


def _compute(compute: Compute, data: Path, machine: Machine, roles: tuple[str, ...], port: int | None) -> Compute:
    listen = compute.listen or ("*:5002" if "gateway" not in roles else "")
    root = _given(compute.project_root) or (Path("/projects") if machine.root else data / "projects")
    return compute.model_copy(
        update={
            "listen": listen,
            "address": compute.address or (_reached(listen, machine.host, port) if listen else ""),
            "name": compute.name or machine.name,
            "project_root": root,
            "skeleton": _given(compute.skeleton) or packaged("config") / "skeletons" / "default",
            "starts": compute.starts or machine.processors,
        }
    )


def _bus(bus: BusOptions, roles: tuple[str, ...]) -> BusOptions:
    everything = {"server", "compute", "gateway"} <= set(roles)
    return bus if everything or bus.mode != "local" else bus.model_copy(update={"mode": "managed"})


def _url(listen: str, secure: bool, host: str, port: int | None) -> str:
    """The address people use for a listener; `host` stands in where it listens on all interfaces."""
    if listen.startswith("unix:"):
        return f"http://{host}"
    scheme, usual = ("https", ":443") if secure else ("http", ":80")
    return f"{scheme}://{_reached(listen, host, port).removesuffix(usual)}"


def _reached(listen: str, host: str, port: int | None) -> str:
    """host:port of a listener as others reach it."""
    interface, asked = split_listen(listen)
    shown = host if interface in ("*", "0.0.0.0", "::") else interface  # noqa: S104 - compared, not bound
    return f"{f'[{shown}]' if ':' in shown else shown}:{port or asked}"


def _interface(machine: Machine) -> str:
    return "*" if machine.root else "127.0.0.1"


def _given(path: Path) -> Path | None:
    return None if path == Path() else path


def _problems(config: Config, machine: Machine, roles: tuple[str, ...]) -> list[str]:
    """What can't work here, one sentence each."""
    found: list[str] = []
    longest = LONGEST_SOCKET - SOCKET_TAIL
    if len(str(config.run_dir).encode()) > longest:
        found.append(
            f"run_dir {config.run_dir} is too long: sockets below it must fit in {LONGEST_SOCKET} bytes, "
            f"so give a path of at most {longest} bytes."
        )
    mode = config.accounts.mode
    if mode in ("managed", "existing") and not machine.root and "compute" in roles:
        found.append(f"accounts.mode {mode} needs root: start AEN as root, or leave accounts.mode out.")
    if mode == "single" and machine.root and "compute" in roles:
        found.append("accounts.mode single is for ordinary users: root may not own projects. Leave accounts.mode out.")
    if config.gateway.workers > 1 and "gateway" in roles and len(roles) > 1:
        found.append("gateway.workers above 1 needs a gateway of its own: start it with --role gateway.")
    if "{project}" in config.gateway.url and len(config.gateway.url) > 180:
        found.append("gateway.url is too long: with {project} replaced it must fit in a host name.")
    return found
