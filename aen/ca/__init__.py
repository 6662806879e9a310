"""AEN's own authority: who a node is, said by a certificate that the server signs and every other node checks.

A node makes its key itself and sends a request; what its certificate says is decided by the server, never by the request.
"""

from __future__ import annotations

from aen.ca.authority import AUTHORITY_DAYS, CERTIFICATE_DAYS, Authority, Issued
from aen.ca.papers import (
    RENEW_SHARE,
    Identity,
    Request,
    Seen,
    host_name,
    key_pem,
    make_key,
    read_certificate,
    request_pem,
)

__all__ = [
    "AUTHORITY_DAYS",
    "CERTIFICATE_DAYS",
    "RENEW_SHARE",
    "Authority",
    "Identity",
    "Issued",
    "Request",
    "Seen",
    "host_name",
    "key_pem",
    "make_key",
    "read_certificate",
    "request_pem",
]
