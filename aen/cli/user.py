"""`aen user`: people and their logins."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aen.cli import Files, Json, Yes, app, ask_first, files
from aen.errors import Conflict, Denied, Invalid

group = typer.Typer(
    help="People: add, list, superuser, staff, allow, lock, unlock, token, passwd, reset-link, no-second-factor, sign-in-by, remove, link.",
    no_args_is_help=True,
)
app.add_typer(group, name="user")

_BLOCKED = "That is done by: aen project give OWNER/NAME PERSON, or aen project delete OWNER/NAME --now."
Name = Annotated[str, typer.Argument(help="The person's name.")]
Add = Annotated[bool, typer.Option("--add/--remove", help="Give it, or take it away.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@group.command()
def add(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="Make them an administrator.")] = False,
    staff: Annotated[bool, typer.Option("--staff", help="Make them one of the staff.")] = False,
    full_name: Annotated[str, typer.Option("--full-name", help="What others see.")] = "",
    email: Annotated[str, typer.Option("--email", help="Where they can be reached.")] = "",
    password_stdin: PasswordStdin = False,
    config: Files = None,
) -> None:
    """Add a person."""
    from aen.cli.calling import call

    body: dict[str, object] = {"name": name, "password": _password(password_stdin), "admin": admin}
    body |= {"staff": True} if staff else {}
    body |= {key: value for key, value in (("full_name", full_name), ("email", email)) if value}
    made = call(config, lambda api: api.post("users", body=body))
    print(f"Added {name}{' as an administrator' if admin else ' as one of the staff' if staff else ''}.")
    if made.get("note"):
        print(made["note"])


@group.command("list")
def list_users(as_json: Json = False, config: Files = None) -> None:
    """List everybody."""
    from aen.cli.calling import call
    from aen.cli.output import show

    rows = call(config, lambda api: list(api.all("users", limit=200)))
    show(
        rows,
        ("name", "full_name", "admin", "staff", "locked", "last_login"),
        as_json=as_json,
        nothing="There is nobody yet.",
    )


@group.command()
def superuser(name: Name, add: Add = True, config: Files = None) -> None:
    """Make a person an administrator (--add), or no longer (--remove)."""
    _set(config, name, "admin", add)
    print(f"{name} is {'an administrator' if add else 'no longer an administrator'}.")


@group.command()
def staff(name: Name, add: Add = True, config: Files = None) -> None:
    """Make a person one of the staff (--add), or no longer (--remove)."""
    _set(config, name, "staff", add)
    print(f"{name} is {'one of the staff' if add else 'no longer of the staff'}.")


@group.command()
def lock(name: Name, config: Files = None) -> None:
    """Lock a person out: logins and what is open end within seconds; files stay."""
    _set(config, name, "locked", True)
    print(f"{name} is locked out.")


@group.command()
def unlock(name: Name, config: Files = None) -> None:
    """Let a person in again."""
    _set(config, name, "locked", False)
    print(f"{name} may sign in again.")


@group.command()
def allow(
    name: Name,
    projects: Annotated[int | None, typer.Option("--projects", help="That they may own.")] = None,
    sessions: Annotated[int | None, typer.Option("--sessions", help="That they may have at a time.")] = None,
    space: Annotated[str | None, typer.Option("--space", help="Of all their projects, as 200G.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", help="Of one session, as 8G.")] = None,
    cpus: Annotated[float | None, typer.Option("--cpus", help="Processors of one session, as 1.5.")] = None,
    none: Annotated[bool, typer.Option("--none", help="As for everybody again: none of these.")] = False,
    config: Files = None,
) -> None:
    """Say how much a person may take; what is not given is as for everybody. With no option: show it, change nothing."""
    from aen.cli.calling import call

    asked = {"projects": projects, "sessions": sessions, "space": space, "memory": memory, "cpus": cpus}
    given = {key: value for key, value in asked.items() if value is not None}
    if none and given:
        raise Invalid(f"--none takes all limits away: leave out --{next(iter(given))}, or leave out --none.")
    if given or none:
        body = {key: _bytes(key, value) if isinstance(value, str) else value for key, value in given.items()}
        found = call(config, lambda api: api.put("users", name, "allowance", body=body))
    else:
        found = call(config, lambda api: api.get("users", name))
    print(f"{name} may take: {_in_words(found['allowance'])}.")


def _bytes(option: str, text: str) -> int:
    from aen.config.sizes import size_in_bytes

    try:
        return size_in_bytes(text)
    except ValueError:
        raise Invalid(f"--{option}: {text!r} is no size. Write it as 500M or 20G.") from None


def _in_words(allowance: dict[str, int | float]) -> str:
    """Each limit as the options take it."""
    from aen.config.sizes import size_text

    own = {key: most for key, most in allowance.items() if most}
    told = [f"{key} {size_text(int(most)) if key in ('space', 'memory') else f'{most:g}'}" for key, most in own.items()]
    return f"{', '.join(told)}; the rest as everybody" if told else "as everybody"


def _set(config: Files, name: str, right: str, value: bool) -> None:
    from aen.cli.calling import call

    call(config, lambda api: api.patch("users", name, body={right: value}))


@group.command()
def token(
    name: Name,
    title: Annotated[str, typer.Option("--title", help="What the token is for.")] = "made by `aen user token`",
    days: Annotated[float, typer.Option("--days", help="It ends so many days from now.")] = 90,
    config: Files = None,
) -> None:
    """Make an API token for a person and print it, alone on the last line."""
    from aen.cli.calling import call

    made = call(config, lambda api: api.post("users", name, "tokens", body={"title": title, "days": days}))
    print(made["token"])


@group.command()
def passwd(name: Name, password_stdin: PasswordStdin = False, config: Files = None) -> None:
    """Give a person a new password; they are signed out everywhere."""
    from aen.cli.calling import call

    body = {"new": _password(password_stdin)}
    call(config, lambda api: api.put("users", name, "password", body=body))
    print(f"{name} has a new password.")


@group.command("reset-link")
def reset_link(
    name: Name,
    hours: Annotated[float, typer.Option("--hours", help="The link is good for so long.")] = 24,
    config: Files = None,
) -> None:
    """Print a link by which a person chooses a new password, once."""
    from aen.cli.calling import call

    print(call(config, lambda api: api.post("users", name, "reset-link", body={"hours": hours}))["url"])


@group.command("no-second-factor")
def no_second_factor(name: Name, config: Files = None) -> None:
    """Take away the second factor of a person who lost it; their logins end."""
    from aen.cli.calling import call

    call(config, lambda api: api.delete("users", name, "second-factor"))
    print(f"{name} signs in without a second factor until a new one is set up.")


@group.command("sign-in-by")
def sign_in_by(
    name: Name, backend: Annotated[str, typer.Argument(help="local, ldap, pam, oidc.")], config: Files = None
) -> None:
    """Link a person to another way of signing in: who proves the name there next is that person."""
    from aen.cli.calling import call

    call(config, lambda api: api.patch("users", name, body={"login_backend": backend}))
    print(f"{name} signs in by {backend} from now on.")


@group.command()
def remove(
    name: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Yes = False,
    config: Files = None,
) -> None:
    """Remove a person: logins, sessions, team places; what they own in projects passes on; their Linux account is locked.

    Says what it would do, and asks. Scripts say --yes.
    """
    from aen.cli.calling import Api, call, wait

    if yes or dry_run or sys.stdin.isatty():
        plan = call(config, lambda api: api.get("users", name, "removal"))
        if plan["blocked"]:
            raise Conflict("\n".join([*plan["blocked"], _BLOCKED]))
        print("\n".join(plan["steps"]))
    if dry_run:
        return
    ask_first(f"Remove {name}", yes)

    def work(api: Api) -> dict[str, object]:
        return wait(api, api.delete("users", name), print)

    report = call(config, work)
    print(f"Removed {name}. {report['message']}")


@group.command()
def link(name: Name, config: Files = None) -> None:
    """Let AEN use this node's Linux account NAME although AEN did not make it. Root only."""
    import os

    from aen.config.load import load
    from aen.config.machine import Machine
    from aen.config.resolve import resolve
    from aen.launchers import accounts
    from aen.places import launcher_dir

    if os.geteuid() != 0:
        raise Denied("Only root may link Linux accounts. Try again with sudo.")
    loaded = load(files(config), os.environ)
    resolved = resolve(loaded.config, roles=("compute",), machine=Machine.here())
    made = accounts.link(str(launcher_dir(resolved, root=True)), name, resolved.accounts.first_uid)
    print(f"AEN may use the account {name} (uid {made.uid}) on this node.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Invalid("Give the password on standard input with --password-stdin.")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
