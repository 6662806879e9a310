"""Ground: what a node stands on, made while the process may still do everything; then privileges are dropped."""

from __future__ import annotations

import os
import pkgutil
import socket
import ssl
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import structlog

import aen
from aen import listeners, places, plugins
from aen.belonging import follow
from aen.config import Config
from aen.config.files import KINDS, packaged
from aen.config.ground import BusOptions
from aen.config.load import Loaded
from aen.config.machine import Machine
from aen.config.resolve import resolve
from aen.credentials import Credentials
from aen.errors import AenError, Invalid
from aen.launchers import Policy
from aen.launchers.accounts import make_again
from aen.privileges import LauncherHandle, drop, ensure_service_account, spawn_launcher
from aen.roles import ROLES

log = structlog.get_logger(__name__)

COMMAND_SOCKET = "command.sock"
PAM = "pam"  # the login back end that asks the launcher


@dataclass(frozen=True)
class Ground:
    """Configuration with every blank filled, what was bound, the launcher, the lock."""

    config: Config
    machine: Machine  # as it was when the process still had its privileges
    roles: tuple[str, ...]
    bound: dict[str, socket.socket]
    handle: LauncherHandle | None
    lock: places.Lock
    loaded: Loaded | None = None  # the configuration as it was given

    def again(self, loaded: Loaded) -> Config:
        """Another configuration, completed for the same machine, roles and ports."""
        given = _followed(loaded.config, self.roles, self.machine)
        return resolve(given, roles=self.roles, machine=self.machine, ports=listeners.ports(self.bound))

    def release(self) -> None:
        """Let go of what the roles did not take over."""
        listeners.close(self.bound)
        self.lock.release()


def lay(loaded: Loaded, roles: tuple[str, ...], *, headless: bool = False) -> Ground:
    """Make the ground for `roles` and become the service account. `headless`: no listeners, no launcher.

    All or nothing: when something is missing, what was opened is closed again. Raises AenErrors.
    """
    machine = Machine.here()
    complete = tuple(ROLES) if headless else roles
    given = _alone(loaded.config) if headless else _followed(loaded.config, roles, machine)
    config = _checked(resolve(given, roles=complete, machine=machine), roles)
    lock = places.Lock(config.data_dir)
    lock.check()
    wanted = {} if headless else listeners.wanted(config, roles)
    bound = listeners.bind(_ports(wanted), shared=config.gateway.share_port)
    handle = None
    made: list[Path] = []
    try:
        uid, gid = ensure_service_account(config.service_account) if machine.root else (os.geteuid(), os.getegid())
        places.make(places.wanted(config, () if headless else roles, uid, gid), made)
        lock.take(uid, gid)
        # Sockets after the directories: they usually lie in run_dir.
        bound |= listeners.bind({name: place for name, place in wanted.items() if listeners.is_unix(place)})
        bound |= listeners.for_workers(bound, config.gateway.workers)
        if headless:  # the server needs a listener; this one only root and AEN's account can reach
            bound = listeners.bind_private(config.run_dir / COMMAND_SOCKET, uid, gid)
        config = resolve(given, roles=complete, machine=machine, ports=listeners.ports(bound))
        if _needs_launcher(config, roles) and not headless:
            made += [place for place in (places.launcher_dir(config, root=machine.root),) if not place.exists()]
            handle = spawn_launcher(_policy(config, machine, uid, gid))
        preload(roles, config)
        _become(config, machine)
    except BaseException:
        listeners.close(bound)
        lock.release()
        if handle is not None:
            handle.close()
        places.unmake(made)
        raise
    if "compute" in roles and not machine.root:
        log.warning("evaluation mode: apps run as one account and are not isolated from each other", uid=uid)
    return Ground(config, machine, roles, bound, handle, lock, loaded)


def prepare(loaded: Loaded) -> list[str]:
    """Make the service account and every directory, as the first start would; says what there is, line by line.

    People's accounts, too, where a backup was put back on a new machine.
    """
    machine = Machine.here()
    roles = tuple(ROLES)
    config = resolve(loaded.config, roles=roles, machine=machine)
    uid, gid = ensure_service_account(config.service_account) if machine.root else (os.geteuid(), os.getegid())
    wanted = places.wanted(config, roles, uid, gid)
    places.make(wanted, [])
    managed = machine.root and config.accounts.mode == "managed"
    account = [f"service account: {config.service_account} (uid {uid})"] if machine.root else []
    again = make_again(str(places.launcher_dir(config, root=True)), config.accounts.shell) if managed else ()
    return [*account, *(f"{place.option}: {place.path}" for place in wanted), *again]


def preload(roles: tuple[str, ...], config: Config) -> None:
    """Import whatever `roles` will need: later the process may not be able to read the installation."""
    packages = ["aen.model", "aen.config", "aen.environments", "aen.apps", *(f"aen.roles.{role}" for role in roles)]
    if set(roles) != {"compute"}:  # fifty compute nodes need no pages: 12 MB and half of the start less, each
        packages += ["aen.web", "aen.logins"]
    if "gateway" in roles:
        packages.append("aen.proxy")
    other = plugins.modules("aen.environments") - plugins.modules("aen.environments", config.environments.backend)
    for package in packages:
        module = import_module(package)
        for found in pkgutil.walk_packages(module.__path__, f"{package}."):
            if found.name not in other:
                _import_if_installed(found.name)
    if "server" in roles:
        plugins.load("aen.stores", config.store.url.partition(":")[0])
    plugins.load("aen.buses", "local" if config.bus.mode == "local" else "nats")


def _needs_launcher(config: Config, roles: tuple[str, ...]) -> bool:
    """A compute node runs apps by it; a server asks it for passwords of Linux accounts, where people sign in by PAM."""
    return "compute" in roles or ("server" in roles and PAM in config.server.login.backends)


def _checked(config: Config, roles: tuple[str, ...]) -> Config:
    """`config`, if all is well that can be seen before anything is made."""
    _check_carrier(config, roles)
    _check_files(config, roles)
    _check_pam(config, roles)
    return config


def _check_pam(config: Config, roles: tuple[str, ...]) -> None:
    """Passwords of Linux accounts can be checked by root's side alone."""
    if PAM not in config.server.login.backends or "server" not in roles:
        return
    if os.geteuid() != 0 or config.accounts.mode == "single":
        raise Invalid(
            "server.login.backends has pam, and only a server that is started as root can ask PAM (its launcher does; the "
            "web process is not root). Start AEN as root, or take pam out of the list."
        )


def _alone(given: Config) -> Config:
    """A command's stand-in server is no node of a distributed installation: it needs no carrier between machines."""
    return given.model_copy(update={"bus": BusOptions()})


def _ports(wanted: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {name: place for name, place in wanted.items() if not listeners.is_unix(place)}


def _followed(given: Config, roles: tuple[str, ...], machine: Machine) -> Config:
    """`given` with what was decided when this node joined. The server has joined nobody: it decides."""
    config = resolve(given, roles=roles, machine=machine)
    credentials = Credentials.load(config.data_dir) if config.bus.mode != "local" else None
    return given if credentials is None or "server" in roles else follow(given, roles, credentials)


def _check_carrier(config: Config, roles: tuple[str, ...]) -> None:
    """A node between machines has a broker to talk to, and may talk to it safely."""
    if config.bus.mode == "local":
        return
    try:
        carrier = plugins.load("aen.buses", "nats")
    except ImportError as error:
        raise Invalid(
            f"Roles on machines of their own talk over NATS, whose library is missing here ({error.name}): "
            "`pip install 'aen[nats]'`."
        ) from error
    credentials = Credentials.load(config.data_dir)
    if config.bus.mode == "managed" and "server" in roles and credentials is None:
        return  # its first start: it makes its own
    carrier(config, roles, credentials)


def _check_files(config: Config, roles: tuple[str, ...]) -> None:
    """Files that the configuration names."""
    skeleton = config.compute.skeleton
    if "compute" in roles and not skeleton.is_dir():
        raise Invalid(f"compute.skeleton {skeleton} is not a directory: new projects are copied from it.")
    for role, tls in (("server", config.server.tls), ("gateway", config.gateway.tls)):
        if role not in roles or tls.cert is None or tls.key is None:
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password="")
        except OSError as error:  # SSLError is one
            why = error.strerror or str(error)
            raise Invalid(f"{role}.tls: {tls.cert} and {tls.key} can't be used: {why}.") from error


def _import_if_installed(name: str) -> None:
    try:
        import_module(name)
    except ImportError as error:  # a back end whose library is an extra that was not asked for
        if (error.name or "").split(".")[0] == "aen":
            raise
        log.debug("left out", module=name, lacks=error.name)


def _become(config: Config, machine: Machine) -> None:
    drop(config.service_account)
    if not machine.root:
        return
    # Programs that we start must not look into root's home.
    os.environ.update(HOME=str(config.data_dir), USER=config.service_account, LOGNAME=config.service_account)
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    os.chdir("/")
    for place in (Path(aen.__file__), *(packaged(kind) for kind in KINDS)):
        if not os.access(place, os.R_OK):
            raise Invalid(
                f"AEN's own files at {place} can't be read by the account {config.service_account!r} that it runs as: "
                "install it where every account can read it (`./dev setup` does)."
            )


def _policy(config: Config, machine: Machine, uid: int, gid: int) -> Policy:
    state = places.launcher_dir(config, root=machine.root)
    return Policy(
        mode=config.accounts.mode,
        service_uid=uid,
        service_gid=gid,
        service_account=config.service_account,
        project_root=str(config.compute.project_root),
        run_dir=str(config.run_dir),
        envs_dir=str(config.envs_dir),
        state_dir=str(state),
        log_dir=str(state / "logs"),
        first_uid=config.accounts.first_uid,
        shell=config.accounts.shell,
        acl_group=config.acl.group,
        acl_subject=config.acl.subject,
        skeletons=(str(config.compute.skeleton),),
        pam_service=config.accounts.pam_service,
        log_bytes=config.compute.app_log_bytes,
    )


__all__ = ["AenError", "Ground", "lay", "preload"]
