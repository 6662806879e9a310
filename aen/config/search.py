"""The configuration of search and of archives of projects."""

from __future__ import annotations

from pydantic import Field

from aen.config.section import Section


class Search(Section):
    """Search for names and texts of files in projects. Who searches finds only what they may read."""

    contents: bool = Field(
        True, description="Read files of projects for search. Off: projects, people and tags are found, files are not."
    )
    minutes: float = Field(
        10.0, description="How often a running project is read again; once more when it has stopped.", ge=0.01, le=1440
    )
    files: int = Field(5000, description="The most files of one project that are found.", ge=1, le=100_000)
    file_bytes: int = Field(
        16384, description="How much of the text of a file is searched, bytes from its beginning.", ge=256, le=65536
    )


class Archives(Section):
    """Projects copied, exported and imported."""

    import_megabytes: int = Field(
        20_480, description="The largest archive that may be uploaded, MB.", ge=1, le=10_000_000
    )
    unpacked_megabytes: int = Field(
        102_400, description="The most that an archive, or a copy, may unpack to, MB.", ge=1, le=100_000_000
    )
    files: int = Field(1_000_000, description="The most files and folders in an archive.", ge=1, le=100_000_000)
