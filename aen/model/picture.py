"""Picture: how a person shows themselves: kept here, sent by nobody else."""

from __future__ import annotations

from aen.model import Document, now


class Picture(Document):
    """That somebody (`id`) has one, and since when: a new one has another address."""

    version: int


class PictureData(Document):
    """The picture itself, a PNG in base64."""

    data: str
    version: int


def new_version() -> int:
    """Of a picture that is set now."""
    return now()
