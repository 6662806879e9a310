"""Logins by LDAP or Active Directory: search and bind, or direct bind; groups say who may come in and who administers."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from aen import names
from aen.config.logins import Ldap
from aen.errors import Denied, Invalid
from aen.logins import Identity, Means
from aen.logins.ldap_link import Directory, Entry, Link, Unreached
from aen.model.user import User

_LONGEST = 1024  # bytes of a password
_DISABLED = 0x2  # userAccountControl of Active Directory
_LOCKED_FOR_GOOD = "000001010000Z"  # pwdAccountLockedTime of OpenLDAP: an administrator did it
_STATE = ("userAccountControl", "pwdAccountLockedTime")


class LdapLogin:
    """Asks the directory. What people typed never reaches a filter or a DN unescaped, and no server without TLS by default."""

    name = "ldap"

    def __init__(self, means: Means) -> None:
        self._options = means.config.server.login.ldap
        check_options(self._options)
        self._directory = Directory(self._options)

    async def check(self, user_name: str, password: str, user: User | None) -> Identity | None:
        """Who that is, or None. Denied: right, but in none of the groups; Unavailable: no server answers."""
        name, domain = names.typed(user_name)
        if not name or not password or len(password.encode(errors="replace")) > _LONGEST:
            return None  # an empty password would be an anonymous bind, which always succeeds
        if not (name.isascii() and name.isprintable()) or " " in name:
            return None  # directories take several spellings for one name: each would have attempts of its own
        if "\x00" in name + password or (domain and domain not in [each.lower() for each in self._options.domains]):
            return None
        prove = self._bind_directly if self._options.user_dn else self._search_and_bind
        return await self._directory.ask(lambda link: prove(link, name, password))

    async def still(self, user: User) -> Identity | None:
        """What the directory knows of the person now. Only with an account that searches; else what AEN knows."""
        if not self._options.bind_dn:
            return Identity(user.id, subject=user.login_subject)
        known = user.login_name or user.id
        return await self._directory.ask(lambda link: self._look_up(link, known))

    # ── in a thread ─────────────────────────────────────────────────────────────────────────────────

    def _search_and_bind(self, link: Link, name: str, password: str) -> Identity | None:
        with self._searching(link) as connection:
            entry = self._entry(link, connection, name)
            with link.bound(*_credentials(entry, password)) as theirs:
                if entry is None or theirs is None:
                    return None
            return self._identity(link, connection, entry)

    def _bind_directly(self, link: Link, name: str, password: str) -> Identity | None:
        dn = self._options.user_dn.replace("{name}", _in_dn(name))
        with link.bound(dn, password) as connection:
            if connection is None:
                return None
            if not self._options.base:
                return Identity(names.canonical(name), subject=f"ldap:{dn.lower()}", known_as=name)
            entry = self._entry(link, connection, name)
            return self._identity(link, connection, entry) if entry is not None else None

    def _look_up(self, link: Link, name: str) -> Identity | None:
        with self._searching(link) as connection:
            entry = self._entry(link, connection, name)
            if entry is None:
                return None
            try:
                return self._identity(link, connection, entry)
            except Denied:
                return None

    def _searching(self, link: Link) -> Any:
        return _must(link.bound(self._options.bind_dn, self._options.bind_password.get_secret_value()))

    def _entry(self, link: Link, connection: Any, name: str) -> Entry | None:
        """The person's entry, if there is exactly one and it is not locked."""
        options = self._options
        attributes = [
            options.name_attribute,
            options.full_name_attribute,
            options.email_attribute,
            options.id_attribute,
        ]
        where = options.filter.replace("{name}", in_filter(name))
        found = link.find(connection, options.base, where, [each for each in attributes if each] + list(_STATE))
        return found[0] if len(found) == 1 and not _locked(found[0]) else None

    def _identity(self, link: Link, connection: Any, entry: Entry) -> Identity:
        options = self._options
        called = _text(entry, options.name_attribute)
        if not called:
            raise Denied(f"The directory has no {options.name_attribute} for you. Ask your administrator.")
        groups = self._groups(link, connection, entry, called)
        allowed = {each.lower() for each in (*options.groups, *options.admin_groups, *options.staff_groups)}
        if options.groups and not groups & allowed:
            raise Denied(
                "Your account in the directory is in none of the groups that may use AEN. Ask an administrator."
            )
        try:
            user = names.canonical(called)
        except Invalid as error:
            raise Denied(
                f"The directory calls you {called[:40]!r}, and AEN has no such names. {error.message}"
            ) from None
        return Identity(
            user,
            full_name=_text(entry, options.full_name_attribute)[:200],
            email=_text(entry, options.email_attribute)[:254],
            email_verified=True,
            subject=f"ldap:{_id(entry, options.id_attribute)}",
            known_as=called.lower(),
            admin=_within(groups, options.admin_groups),
            staff=_within(groups, options.staff_groups),
        )

    def _groups(self, link: Link, connection: Any, entry: Entry, called: str) -> set[str]:
        options = self._options
        if not (options.groups or options.admin_groups or options.staff_groups):
            return set()
        where = options.group_filter.replace("{dn}", in_filter(entry["dn"])).replace("{name}", in_filter(called))
        found = link.find(connection, options.group_base or options.base, where, ["1.1"])
        return {str(group["dn"]).lower() for group in found}


def _within(groups: set[str], named: list[str]) -> bool | None:
    """Whether somebody in `groups` is in one of those named; None when none is."""
    return bool(groups & {each.lower() for each in named}) if named else None


class _must:  # reads as a word
    """The account that searches must be let in: when it is not, AEN is set up wrongly, and people are not told it is they."""

    def __init__(self, bound: Any) -> None:
        self._bound = bound

    def __enter__(self) -> Any:
        connection = self._bound.__enter__()
        if connection is None:
            self._bound.__exit__(None, None, None)
            raise Unreached("server.login.ldap.bind_dn and bind_password are not accepted")
        return connection

    def __exit__(self, *exc: Any) -> None:
        self._bound.__exit__(*exc)


def check_options(options: Ldap) -> None:
    """Raise Invalid, saying which option is missing or dangerous."""
    for url in options.servers:
        if not url.startswith(("ldap://", "ldaps://")):
            raise Invalid(f"server.login.ldap.servers: {url!r} must begin with ldap:// or ldaps://.")
    wrong = next((why for why, holds in _RULES if not holds(options)), "")
    if wrong:
        raise Invalid(f"server.login.ldap: {wrong}")


_RULES: tuple[tuple[str, Callable[[Ldap], bool]], ...] = (
    ("servers is empty: name at least one.", lambda o: bool(o.servers)),
    (
        "set bind_dn and bind_password (an account that searches), or user_dn (people bind directly).",
        lambda o: bool(o.bind_dn) != bool(o.user_dn),
    ),
    ("bind_password is empty: that would be an anonymous bind.", lambda o: not o.bind_dn or bool(o.bind_password)),
    ("user_dn must hold {name}.", lambda o: not o.user_dn or "{name}" in o.user_dn),
    ("base is needed to search.", lambda o: not o.bind_dn or bool(o.base)),
    (
        "groups, admin_groups and staff_groups need base: that is where people and groups are found.",
        lambda o: bool(o.base) or not (o.groups or o.admin_groups or o.staff_groups),
    ),
    (
        "filter must hold {name}, in brackets, as (uid={name}).",
        lambda o: "{name}" in o.filter and o.filter.startswith("("),
    ),
    ("name_attribute is empty.", lambda o: bool(o.name_attribute)),
)


def in_filter(text: str) -> str:
    """`text` as a value in a filter (RFC 4515): nothing in it has a meaning there."""
    return "".join(
        f"\\{byte:02x}" if byte < 32 or byte > 126 or byte in b"\\*()" else chr(byte) for byte in text.encode()
    )


def _in_dn(text: str) -> str:
    """`text` as a value in a DN (RFC 4514): every character that could mean something is escaped."""
    return "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "-_.@") else f"\\{byte:02x}"
        for byte in text.encode()
    )


def _credentials(entry: Entry | None, password: str) -> tuple[str, str]:
    """What is tried: for people whom nobody knows a name that cannot be, so that the answer takes a visit all the same."""
    if entry is not None:
        return str(entry["dn"]), password
    return f"cn={secrets.token_hex(8)}", secrets.token_hex(8)


def _text(entry: Entry, attribute: str) -> str:
    """The first value of an attribute, as text; empty when there is none."""
    value = _raw(entry, attribute)
    return value.decode(errors="replace").strip() if value else ""


def _raw(entry: Entry, attribute: str) -> bytes:
    values = {key.lower(): value for key, value in entry["raw_attributes"].items()}.get(attribute.lower()) or []
    return bytes(values[0]) if values else b""


def _id(entry: Entry, attribute: str) -> str:
    value = _raw(entry, attribute) if attribute else b""
    if not value:
        return str(entry["dn"]).lower()
    printable = value.isascii() and value.decode("ascii").isprintable()
    return value.decode("ascii").lower() if printable else value.hex()


def _locked(entry: Entry) -> bool:
    control = _text(entry, "userAccountControl")
    disabled = control.isdigit() and bool(int(control) & _DISABLED)
    return disabled or _text(entry, "pwdAccountLockedTime") == _LOCKED_FOR_GOOD
