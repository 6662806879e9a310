"""What types can't say about the configuration: addresses, secrets, pairs that belong together."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from aen import names
from aen.config.model import Config
from aen.config.source import Key
from aen.errors import Invalid

Problem = tuple[Key, str]

SHORTEST_SECRET = 32  # characters
_DEFAULT_SECRETS = re.compile(r"(?i)(change[-_ ]?me|secret|password|default|example|insecure|sample)")
_BELOW = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")  # a path for the server
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def problems(config: Config) -> Iterator[Problem]:
    """Everything wrong with a configuration whose types are right."""
    for check in CHECKS:
        yield from check(config)


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port`, `*:port` or `:port` (host `*`: all interfaces). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be host:port, as 127.0.0.1:8080 or *:8080")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if ":" in host or "/" in host or " " in host:
        raise ValueError("must be host:port, an IPv6 address in brackets, as [::1]:8080")
    return host or "*", int(port)


def _listens(config: Config) -> Iterator[Problem]:
    texts: list[tuple[Key, str]] = [
        (("server", "listen"), config.server.listen),
        (("server", "redirect_listen"), config.server.redirect_listen),
        (("gateway", "listen"), config.gateway.listen),
        (("gateway", "redirect_listen"), config.gateway.redirect_listen),
        (("compute", "listen"), config.compute.listen),
        (("ops", "listen"), config.ops.listen),
        (("bus", "listen"), config.bus.listen),
        (("bus", "leaf_listen"), config.bus.leaf_listen),
    ]
    seen: dict[tuple[str, int], str] = {}
    for way, text in texts:
        if (
            not text
            or (way == ("server", "listen") and text.startswith("unix:/"))
            or (way[0] == "ops" and text == "off")
        ):
            continue
        try:
            place = split_listen(text)
        except ValueError as error:
            yield way, f"{error} (it is {text!r})"
            continue
        if place[1] and place in seen:
            yield way, f"is the same address as {seen[place]}; give each its own port"
        seen[place] = ".".join(str(part) for part in way)
    if config.compute.address and not _is_place(config.compute.address):
        yield (
            ("compute", "address"),
            f"must be host:port as gateways reach this node, like n7.example.org:5002 (it is {config.compute.address!r})",
        )


def _is_place(text: str) -> bool:
    """Whether one can connect there: host and port, neither left out."""
    try:
        host, port = split_listen(text)
    except ValueError:
        return False
    return host != "*" and port > 0


def _urls(config: Config) -> Iterator[Problem]:
    texts: list[tuple[Key, str]] = [
        (("server", "url"), config.server.url),
        (("gateway", "url"), config.gateway.url),
        (("gateway", "api_url"), config.gateway.api_url),
    ]
    for way, text in texts:
        if text:
            wrong = _wrong_url(text, project=way == ("gateway", "url"), below=way == ("server", "url"))
            if wrong:
                yield way, f"{wrong} (it is {text!r})"
    if config.server.url and _origin(config.server.url) == _origin(config.gateway.url):
        yield (
            ("gateway", "url"),
            "must differ from server.url: apps run people's code and must not share the server's origin",
        )


def _origin(url: str) -> str:
    """Scheme, host and port: the server's path is no part of it."""
    return "/".join(url.lower().split("/")[:3])


def _wrong_url(text: str, *, project: bool, below: bool) -> str:
    """What is wrong with an address. `project`: it may hold {project}; `below`: it may have a path."""
    try:
        parts = urlsplit(text.replace("{project}", "p", 1) if project else text)
        port_fine = parts.port is None or parts.port > 0
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fine:
        return "must be like https://aen.example.org"
    path = "" if below and _BELOW.fullmatch(parts.path.rstrip("/")) else parts.path.rstrip("/")
    if path or parts.query or parts.fragment or parts.username is not None:
        return "must end after host and port" + (" or a plain path" if below else ": no path") + ", no user, no query"
    if "{" in parts.netloc or "}" in parts.netloc:
        return "may hold {project} once" if project else "may not hold braces"
    if "{project}" in text and not re.match(r"https?://\{project\}\.[^.]", text):
        return "may hold {project} only as the whole first part of the host name, as https://{project}.apps.example.org"
    return ""


def _secrets(config: Config) -> Iterator[Problem]:
    secret = config.server.secret_key.get_secret_value()
    if not secret:
        return
    way: Key = ("server", "secret_key")
    advice = "make one with `openssl rand -base64 48`, or leave it out and AEN makes its own"
    if len(secret) < SHORTEST_SECRET:
        yield way, f"is too short: at least {SHORTEST_SECRET} characters; {advice}"
    elif len(set(secret)) < 8 or _DEFAULT_SECRETS.search(secret):
        yield way, f"looks like a default or an example; {advice}"


def _tls(config: Config) -> Iterator[Problem]:
    for section, tls in (("server", config.server.tls), ("gateway", config.gateway.tls)):
        if (tls.cert is None) != (tls.key is None):
            missing = "key" if tls.key is None else "cert"
            yield (section, "tls", missing), "is missing: a certificate and its key go together"


def _names(config: Config) -> Iterator[Problem]:
    for way, name in (
        (("gateway", "datacenter"), config.gateway.datacenter),
        (("compute", "name"), config.compute.name or "n"),
    ):
        try:
            names.node(name)
        except Invalid as error:
            yield way, error.message
    if not _ACCOUNT.fullmatch(config.service_account) or config.service_account == "root":
        yield ("service_account",), "must be the name of a Linux account other than root"
    for app in config.apps:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", app):
            yield ("apps", app), "an app's name has lower-case letters, digits and -, starting with a letter"
        elif not config.apps[app].command and config.apps[app].model_fields_set - {"limits", "command"}:
            yield ("apps", app, "command"), "must hold a program and its arguments"


def _permissions(config: Config) -> Iterator[Problem]:
    if config.acl.subject == "group" and config.accounts.mode == "single":
        yield ("acl", "subject"), "group needs accounts of several people: with accounts.mode single all runs as one"


def _proxies(config: Config) -> Iterator[Problem]:
    for section, networks in (
        ("server", config.server.trusted_proxies),
        ("gateway", config.gateway.trusted_proxies),
    ):
        for number, network in enumerate(networks):
            try:
                ipaddress.ip_network(network)
            except ValueError:
                yield (section, "trusted_proxies", number), f"{network!r} is neither an address nor a network"


def _paths(config: Config) -> Iterator[Problem]:
    paths: list[tuple[Key, Path]] = [
        (("data_dir",), config.data_dir),
        (("run_dir",), config.run_dir),
        (("envs_dir",), config.envs_dir),
        (("compute", "project_root"), config.compute.project_root),
        (("compute", "skeleton"), config.compute.skeleton),
    ]
    for way, path in paths:
        if path != Path() and not path.is_absolute():
            yield way, f"must be an absolute path (it is {str(path)!r})"
        elif path != Path() and (".." in path.parts or path == Path("/")):
            yield way, f"must be a directory of its own, without '..' (it is {str(path)!r})"


def _carriers(config: Config) -> Iterator[Problem]:
    url = config.store.url
    if url and not re.match(r"sqlite:////?[^/]|mongodb(\+srv)?://[^/]", url):
        yield ("store", "url"), "must be sqlite:///path or mongodb://host/database"
    if config.bus.mode == "external" and not re.match(r"(nats|tls)://[^/]", config.bus.url):
        yield ("bus", "url"), "bus.mode external needs it, as tls://nats.example.org:4222"
    if config.bus.mode != "external" and config.bus.url:
        yield ("bus", "url"), f"is used with bus.mode external only (it is {config.bus.mode})"


CHECKS: tuple[Callable[[Config], Iterator[Problem]], ...] = (
    _listens,
    _urls,
    _permissions,
    _secrets,
    _tls,
    _names,
    _proxies,
    _paths,
    _carriers,
)
