"""Streams: the socket by which an archive leaves or comes. AEN alone is let through to it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from aen_contents import Refused

_SECONDS = 120.0  # without a byte: whoever read or wrote is gone


@contextmanager
def connection(path: str) -> Iterator[socket.socket]:
    """The one connection that is made to us. Refused when nobody comes."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(1)
        listening.settimeout(_SECONDS)
        try:
            connected, _ = listening.accept()
        except TimeoutError:
            raise Refused("Nobody came for the archive.") from None
        finally:
            os.unlink(path)
    with connected:
        connected.settimeout(_SECONDS)
        yield connected
