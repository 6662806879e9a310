"""A look at a MongoDB from outside: whether it answers, and what it is. Opens nothing as a store and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from pymongo import MongoClient, errors


@dataclass(frozen=True)
class Told:
    """What it says of itself; `why`: it doesn't."""

    version: str = ""
    replica_set: str = ""
    members: int = 0
    stand_in: bool = False
    why: str = ""


def look(url: str, seconds: float) -> Told:
    """Ask the MongoDB at `url`. Raises nothing."""
    try:
        with MongoClient(url, serverSelectionTimeoutMS=round(seconds * 1000), appname="aen-doctor") as client:  # type: ignore[var-annotated]
            hello, build = client.admin.command("hello"), client.admin.command("buildInfo")
    except (errors.PyMongoError, ValueError) as error:
        return Told(why=str(error).split(",")[0][:200])
    real = "gitVersion" in build and "storageEngines" in build
    return Told(str(build.get("version", "?")), str(hello.get("setName", "")), len(hello.get("hosts", ())), not real)
