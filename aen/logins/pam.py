"""Logins by PAM: the password of the person's Linux account, checked by the launcher. The web process is never root."""

from __future__ import annotations

from aen import names
from aen.errors import Invalid
from aen.logins import Identity, Means
from aen.model.user import User

_LONGEST = 1024  # bytes


class PamLogin:
    """Asks the launcher of the server's own host; never for root, system accounts or AEN's account."""

    name = "pam"

    def __init__(self, means: Means) -> None:
        if means.check_password is None:
            raise Invalid(
                "server.login.backends has pam, and this server has no launcher to ask: start AEN as root on this host, "
                "or take pam out of the list."
            )
        if not means.config.accounts.pam_service:
            raise Invalid(
                "server.login.backends has pam: set accounts.pam_service to a file in /etc/pam.d too, as aen "
                "(config/pam-aen is a sample)."
            )
        self._ask = means.check_password

    async def check(self, user_name: str, password: str, user: User | None) -> Identity | None:
        """Who that is, or None. Unavailable when PAM is broken, TooMany when a name was tried too often."""
        name, domain = names.typed(user_name)
        if domain or not password or "\x00" in password or len(password.encode(errors="replace")) > _LONGEST:
            return None
        try:
            canonical = names.user(name)
        except Invalid:
            return None  # a Linux account that AEN could not stand for
        return Identity(canonical) if await self._ask(canonical, password) else None
