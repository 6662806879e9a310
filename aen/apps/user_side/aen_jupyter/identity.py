"""Who is asking: the gateway says so, and proves itself with the secret of this launch."""

from __future__ import annotations

import hmac
import os
from typing import Any

from jupyter_server.auth import Authorizer, IdentityProvider, User
from tornado.web import RequestHandler

# Taken out of the environment at once: kernels and terminals inherit it.
_SECRET = os.environ.pop("AEN_APP_TOKEN", "")
_BEARER = os.environ.get("AEN_APP_USER", "")  # whose session this is; `*`: anybody the gateway lets through


class AenIdentityProvider(IdentityProvider):
    """Believes `X-AEN-User` when `X-AEN-App-Token` is the secret of this launch, and nothing else.

    A login by cookie is not "token-authenticated" in Jupyter's sense: its XSRF and Origin checks stay on.
    """

    @property
    def auth_enabled(self) -> bool:
        """Always."""
        return True

    @property
    def login_available(self) -> bool:
        """Never: people sign in at AEN."""
        return False

    @property
    def logout_available(self) -> bool:
        """Never: it would end nothing."""
        return False

    def get_user(self, handler: RequestHandler) -> User | None:
        """The person, or None when the request doesn't come from the gateway."""
        headers = handler.request.headers
        given, name = headers.get("X-AEN-App-Token", ""), headers.get("X-AEN-User", "")
        if not _SECRET or not name or not hmac.compare_digest(given.encode(), _SECRET.encode()):
            return None
        if headers.get("X-AEN-Auth") == "token":
            # What Jupyter's own `get_user` does for its token: read by `is_token_authenticated`.
            handler._token_authenticated = True
        return User(username=name, name=name, display_name=name, initials=name[:2].upper())

    def validate_security(self, app: Any, ssl_options: dict[str, Any] | None = None) -> None:
        """Nothing to warn of: a launch without a secret lets nobody in."""


class AenAuthorizer(Authorizer):
    """The person whose session it is may do everything; on a shared one, everybody whom the gateway lets through."""

    def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        """Whether `user` may: the action and resource make no difference, it is their own code that runs."""
        return _BEARER in ("*", user.username)
