"""Logins by OpenID Connect: authorization code with PKCE; state and nonce are bound to the browser that began."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from aen import names
from aen.config.logins import Oidc
from aen.errors import Denied, Invalid, Unavailable
from aen.logins import Identity, Means, Visit
from aen.logins.oidc_provider import Provider, bad_proof, safe_url

_FIELD = re.compile(r"\{([a-z0-9_:/.-]{1,100})\}")
_EMAIL_LOCAL = "email_local"


class OidcLogin:
    """One provider."""

    name = "oidc"

    def __init__(self, means: Means) -> None:
        self._options = means.config.server.login.oidc
        check_options(self._options, means.config.server.login.domains)
        self._provider = Provider(self._options)
        self.title, self.days = self._options.title, self._options.days

    @property
    def origin(self) -> str:
        """The provider's origin: where a form of ours may lead on to."""
        parts = urlsplit(self._options.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    async def begin(self, back: str) -> Visit:
        """See VisitBackend."""
        described = await self._provider.described()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": back,
            "scope": " ".join(self._options.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        place = str(described["authorization_endpoint"])
        url = f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"
        return Visit(url, {"state": state, "nonce": nonce, "verifier": verifier})

    async def finish(self, back: str, given: Mapping[str, str], kept: Mapping[str, str]) -> Identity:
        """See VisitBackend. The state comes first: without it, it is somebody else's sign-in."""
        if not kept.get("state") or not hmac.compare_digest(
            given.get("state", "").encode(), kept.get("state", "").encode()
        ):
            raise Denied("This sign-in was not begun in this browser, or is too old. Begin again on the login page.")
        await self._check_issuer(given.get("iss"))
        if given.get("error"):
            raise Denied("Your sign-in provider did not let you in, or you stopped there. Try again on the login page.")
        if not given.get("code"):
            raise bad_proof("it holds no code")
        tokens = await self._provider.redeem(given["code"], kept["verifier"], back)
        return self.identity(await self._provider.claims(tokens, kept["nonce"]))

    async def _check_issuer(self, issuer: str | None) -> None:
        """RFC 9207: an answer of another provider must never be taken to this one (mix-up)."""
        described = await self._provider.described()
        if issuer is None and described.get("authorization_response_iss_parameter_supported") is not True:
            return
        if issuer != self._options.issuer:
            raise bad_proof("it came from another provider")

    async def leave(self, back: str) -> str:
        """See VisitBackend. Only to the provider's own origin."""
        if not self._options.logout:
            return ""
        try:
            place = str((await self._provider.described()).get("end_session_endpoint", ""))
        except Unavailable:
            return ""  # it must be possible to sign out of AEN whatever the provider does
        if not place.startswith(self.origin + "/"):
            return ""
        asked = {"client_id": self._options.client_id, "post_logout_redirect_uri": back}
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    def identity(self, claims: Mapping[str, Any]) -> Identity:
        """Who the claims speak of. Denied when a name can't be made of them or a group is missing."""
        options = self._options
        groups = _words(claims.get(options.groups_claim))
        if options.groups and not groups & {*options.groups, *options.admin_groups, *options.staff_groups}:
            raise Denied("You are in none of the groups that may use AEN. Ask your administrator.")
        made = self._name(claims)
        try:
            user = names.canonical(made)
        except Invalid as error:
            raise Denied(
                f"Your sign-in provider calls you {made[:40]!r}, and AEN has no such names. {error.message}"
            ) from None
        return Identity(
            user,
            full_name=_text(claims.get("name"))[:200],
            email=_text(claims.get("email"))[:254],
            email_verified=claims.get("email_verified") is True,
            subject=f"{options.issuer} {claims['sub']}"[:500],
            known_as=made[:100].lower(),
            admin=bool(groups & set(options.admin_groups)) if options.admin_groups else None,
            staff=bool(groups & set(options.staff_groups)) if options.staff_groups else None,
        )

    def _name(self, claims: Mapping[str, Any]) -> str:
        given = dict(claims)
        email = _text(claims.get("email"))
        if claims.get("email_verified") is True and email.count("@") == 1:
            given[_EMAIL_LOCAL] = email.partition("@")[0]
        else:
            given.pop(_EMAIL_LOCAL, None)

        def value(found: re.Match[str]) -> str:
            text = _text(given.get(found[1]))
            if not text:
                raise Denied(f"Your sign-in provider did not say your {found[1]}, of which names are made here.")
            return text

        return _FIELD.sub(value, self._options.name)


def check_options(options: Oidc, domains: list[str]) -> None:
    """Raise Invalid, saying which option is missing or dangerous."""
    if not options.issuer or not options.client_id:
        raise Invalid("server.login.oidc: set issuer and client_id, as the provider names them.")
    if not safe_url(options.issuer) or urlsplit(options.issuer).query or urlsplit(options.issuer).fragment:
        raise Invalid("server.login.oidc.issuer must be an https address without a query.")
    if "openid" not in options.scopes:
        raise Invalid("server.login.oidc.scopes must hold openid.")
    if not _FIELD.search(options.name):
        raise Invalid("server.login.oidc.name must hold a claim, as {preferred_username}.")
    if f"{{{_EMAIL_LOCAL}}}" in options.name and not domains:
        raise Invalid(
            "server.login.oidc.name is made of {email_local}: name your domains in server.login.domains, else a person "
            "of any other domain could come first and take a name."
        )


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _words(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    return {each for each in value if isinstance(each, str)} if isinstance(value, list) else set()
