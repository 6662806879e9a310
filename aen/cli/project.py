"""`aen project`: list, show, start, stop, check, give, delete, restore, export, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aen.cli import Files, Json, Yes, app, ask_first
from aen.errors import Conflict, Invalid

group = typer.Typer(
    help="Projects: list, show, start, stop, check, give, delete, restore, export, import.", no_args_is_help=True
)
app.add_typer(group, name="project")

Slug = Annotated[str, typer.Argument(help="owner/name", metavar="OWNER/NAME")]


@group.command("list")
def list_projects(as_json: Json = False, config: Files = None) -> None:
    """List every project."""
    from aen.cli.calling import call
    from aen.cli.output import show

    rows = call(config, lambda api: list(api.all("projects", scope="all", limit=200)))
    for row in rows:
        row.setdefault("slug", f"{row.get('owner')}/{row.get('name')}")
    columns = ("slug", "state", "visibility", "datacenter", "summary")
    show(rows, columns, as_json=as_json, nothing="There are no projects yet.")


@group.command()
def show(slug: Slug, as_json: Json = False, config: Files = None) -> None:
    """Show one project and its team."""
    from aen.cli.calling import call
    from aen.cli.output import cell_of

    owner, name = _split(slug)
    found: dict[str, Any] = call(config, lambda api: api.get("projects", owner, name))
    if as_json:
        import json

        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    told = {**found, "team": _members(found.get("team")), "space": _space(found.get("space"))}
    told["space_limit"] = _limit(found.get("space_limit"))
    for key in told:
        print(f"{key.replace('_', ' ') + ':':14} {cell_of(told, key)}")


@group.command()
def start(slug: Slug, config: Files = None) -> None:
    """Start a project; its apps start when somebody opens them."""
    _tell(slug, "start", config)


@group.command()
def stop(slug: Slug, config: Files = None) -> None:
    """Stop a project and every app in it."""
    _tell(slug, "stop", config)


@group.command()
def check(
    slug: Slug,
    repair: Annotated[bool, typer.Option("--repair", help="Bring them in line, and wait until that is done.")] = False,
    as_json: Json = False,
    config: Files = None,
) -> None:
    """Say which files of a project are not in line with its team, who is shut out by that, and why."""
    from aen.cli.calling import call, wait

    owner, name = _split(slug)
    if repair:
        job = call(config, lambda api: wait(api, api.post("projects", owner, name, "permissions", "repair"), print))
        print(f"{slug}: {job['message']}")
        return
    found: dict[str, Any] = call(config, lambda api: api.get("projects", owner, name, "permissions"))
    if as_json:
        import json

        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show_drift(slug, found)
    if found["differing"]:
        raise typer.Exit(1)


@group.command()
def give(
    slug: Slug,
    to: Annotated[str, typer.Argument(help="Who owns it from then on.", metavar="NAME")],
    yes: Yes = False,
    config: Files = None,
) -> None:
    """Give a stopped project, with its folder and files, to another person; who owned it stays in its team."""
    from aen.cli.calling import Api, call

    owner, name = _split(slug)
    ask_first(
        f"Give {slug} to {to}: its folder becomes {to}/{name}, and files of {owner} in it become those of {to}", yes
    )

    def work(api: Api) -> None:
        found = api.get("projects", owner, name)
        if found["state"] in ("STARTING", "RUNNING", "STOPPING"):  # else they would be in the team, and no more
            raise Conflict(f"{slug} is {found['state'].lower()}. Stop it first: aen project stop {slug}")
        if to not in [member["user"] for member in found["team"]]:  # who gets it must be in the team
            api.put("projects", owner, name, "team", to, body={"role": "maintainer"})
        api.post("projects", owner, name, "transfer", body={"user": to})

    call(config, work)
    print(f"{slug} passes to {to}: it is {to}/{name} when its files are there (aen project list).")


@group.command()
def delete(
    slug: Slug,
    now: Annotated[bool, typer.Option("--now", help="For good and at once, with all its files.")] = False,
    yes: Yes = False,
    config: Files = None,
) -> None:
    """Delete a project: stopped and hidden at once, its files in some days; `restore` has it back until then."""
    from aen.cli.calling import Api, call, wait
    from aen.cli.output import cell_of

    owner, name = _split(slug)
    ask_first(f"Delete {slug} for good, with all its files, now" if now else f"Delete {slug}", yes)
    if now:

        def work(api: Api) -> dict[str, Any]:
            return wait(api, api.delete("projects", owner, name), print)

        call(config, work)
        print(f"{slug} is deleted.")
        return
    found = call(config, lambda api: api.post("projects", owner, name, "discard", body={}))
    until = f" It is kept until {cell_of(found, 'ends')}: aen project restore {slug}" if found.get("ends") else ""
    print(f"{slug} is deleted.{until}")


@group.command()
def restore(slug: Slug, config: Files = None) -> None:
    """Have a deleted project back."""
    from aen.cli.calling import call

    owner, name = _split(slug)
    call(config, lambda api: api.post("projects", owner, name, "restore", body={}))
    print(f"{slug} is back, stopped.")


@group.command("export")
def export_project(
    slug: Slug,
    to: Annotated[Path | None, typer.Option("--to", help="The archive's file. Default: NAME.aen.tar.gz here.")] = None,
    config: Files = None,
) -> None:
    """Write a project into one archive: files, settings, and what its environments consist of."""
    from aen.cli.calling import call

    owner, name = _split(slug)
    path = to or Path(f"{name}.aen.tar.gz")
    size = call(config, lambda api: _by_socket(api).download(path, "projects", owner, name, "export"))
    print(f"{slug}: {path}, {size:,} bytes")


@group.command("import")
def import_project(
    archive: Annotated[Path, typer.Argument(help="An archive that `aen project export` or the page wrote.")],
    slug: Annotated[str, typer.Argument(help="The new project: owner/name", metavar="OWNER/NAME")],
    config: Files = None,
) -> None:
    """Make a new project of an archive, owned by that person; wait until it is done."""
    from aen.cli.calling import call, wait

    owner, name = _split(slug)
    if not archive.is_file():
        raise Invalid(f"There is no file {archive}.")

    def work(api: Any) -> Any:
        made = _by_socket(api).upload(archive, "imports", name=name, owner=owner)
        return wait(api, made["job"], print)

    job = call(config, work)
    print(f"{slug}: {job['message']}")


def _by_socket(api: Any) -> Any:
    """Files go over the admin socket. Raises Invalid for a server elsewhere."""
    if not hasattr(api, "upload"):
        raise Invalid(
            "Archives of a server elsewhere are fetched and sent on its pages: Project → Copy, New project → Import."
        )
    return api


def _show_drift(slug: str, found: dict[str, Any]) -> None:
    from aen.cli.output import cell

    for item in found["items"]:
        lacks = ", ".join(f"{user} lacks {rights}" for user, rights in item["lacks"].items())
        extra = ", ".join(f"{user} has {rights} too much" for user, rights in item["extra"].items())
        print(f"{cell(item['path'])}: {'; '.join(part for part in (lacks, extra, item['reason']) if part)}")
    if (left := found["differing"] - len(found["items"])) > 0:
        print(f"… and {left:,} more")
    for note in found["notes"]:
        print(note)
    for user, count in found["unreadable"].items():
        print(f"{user} can't read {count:,} of them.")
    state = f"{found['differing']:,} are not in line with the team" if found["differing"] else "all is as it should be"
    print(f"{slug}: {found['looked_at']:,} files and directories looked at, {state}.")
    if found["differing"]:
        print(f"Repair them with: aen project check {slug} --repair")


def _tell(slug: str, verb: str, config: Files) -> None:
    from aen.cli.calling import call

    owner, name = _split(slug)
    found = call(config, lambda api: api.post("projects", owner, name, verb))
    state = found.get("state", "") if isinstance(found, dict) else ""
    print(f"{slug}: {state or verb}")


def _members(team: Any) -> Any:
    if not isinstance(team, list):
        return team
    return [f"{member.get('user')} ({member.get('role')})" if isinstance(member, dict) else member for member in team]


def _space(space: Any) -> str:
    """What it takes on the disk, in words."""
    from aen.cli.output import cell_of

    if not isinstance(space, dict):
        return "not measured yet"
    parts = ", ".join(f"{part} {cell_of(space, part)}" for part in ("environments", "trash", "caches") if part in space)
    return f"{cell_of(space, 'bytes')} in {space.get('files', 0):,} files ({parts}), measured {cell_of(space, 'at')}"


def _limit(most: Any) -> str:
    from aen.languages import size

    return size(most) if most else "as configured"


def _split(slug: str) -> tuple[str, str]:
    owner, slash, name = slug.partition("/")
    if not slash or not owner or not name or "/" in name:
        raise Invalid(f"{slug!r} doesn't name a project: write OWNER/NAME, as alice/genome.")
    return owner, name
