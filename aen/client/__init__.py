"""Client: AEN's API from Python, typed, with (`AsyncClient`) and without (`Client`) await. Only aiohttp and pydantic.

    with Client("https://aen.example.org", token) as aen:
        for project in aen.every(aen.get_projects, scope="mine"):
            print(project.slug, project.state)

Methods are named as the operations of /api/v1/openapi.json; they raise the AenErrors that the server answers with.
"""

from __future__ import annotations

from aen.client import models
from aen.client.connection import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "models"]
