"""Neighbours: a member who runs hostile code as their own Linux account, on the machine where all others compute too."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.waiting import until
from tests.world import World

pytestmark = pytest.mark.root

# What a stranger to these files finds: what can be read, written to, connected to, and whose memory tells secrets.
SPY = """
import json, os, socket, stat, sys
top, secrets = sys.argv[1], sys.argv[2:]
found = {"read": [], "write": [], "connect": [], "told": []}
def look(path):
    try: status = os.lstat(path)
    except OSError: return
    if status.st_uid == os.getuid() or stat.S_ISLNK(status.st_mode): return
    if stat.S_ISSOCK(status.st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            try: probe.connect(path); found["connect"].append(path)
            except OSError: pass
        return
    if os.access(path, os.W_OK): found["write"].append(path)
    if stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK): found["read"].append(path)
for line in open("/proc/net/unix").read().splitlines():
    if top in line: look(line.split()[-1])
for path in sys.stdin.read().split("\\0"): look(path)
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("cmdline", "environ", "mem", "maps"):
        try: data = open(f"/proc/{pid}/{name}", "rb").read(1 << 20)
        except OSError: continue
        if os.stat(f"/proc/{pid}").st_uid != os.getuid() and any(one.encode() in data for one in secrets):
            found["told"].append(f"{pid}/{name}")
print(json.dumps(found))
"""
PLANT = """
import os, subprocess
os.chdir(os.environ["AEN_PROJECT_DIR"])
os.symlink("/etc", "etc"); os.symlink("/etc/shadow", "shadow"); os.mkfifo("fifo")
subprocess.run(["cp", "/bin/sh", "mine"], check=True); os.chmod("mine", 0o6755)
for one in ("envs", "public"):
    os.rename(one, one + ".away"); os.symlink("/etc", one)
here = os.getcwd()
for act in (lambda: os.rename(here, here + ".away"), lambda: os.mkdir(here + ".beside"), lambda: os.rmdir(here)):
    try: act()
    except PermissionError: continue
    raise AssertionError("somebody could change the owner's folder")
"""


def secrets_of(world: World) -> list[str]:
    """The secrets by which apps know the gateway, and the key of the login cookies."""
    sessions = (world.folder / "data/compute/sessions").glob("*.json")
    keys = [json.loads(path.read_bytes())["secret"] for path in sessions]
    return [*filter(None, keys), (world.folder / "data/secret-key").read_text().strip()]


def spy(world: World, name: str) -> dict[str, list[str]]:
    """What `name` finds, told every path there is."""
    paths = [str(path) for path in world.folder.rglob("*") if "/envs/" not in str(path)]
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", SPY, str(world.folder), *secrets_of(world)],
        input="\0".join(paths),
        user=name,
        group=name,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


async def test_a_member_with_a_shell_reaches_nothing_of_others(world: World) -> None:
    alice, mallory = world.add("alice"), world.add("mallory")
    async with world.client(alice) as hers, world.client(mallory) as his, aiohttp.ClientSession() as http:
        slug, secret = await project_of(hers, alice, "genome"), await project_of(hers, alice, "secret")
        await hers.ask("PUT", f"/api/v1/projects/{slug}/team/{mallory}", {})
        mine, session = await opened(his, slug), await opened(hers, secret)
        kernel = await Kernel.start(http, session["url"], bearer(world, alice))
        await kernel.run("open('treasure.txt', 'w').write('gold')")
        found = spy(world, mallory)
        shared = str(world.folder / "projects" / slug)
        own = {str(world.log), str(world.file)}  # the test's own files
        assert not found["connect"]
        assert not found["told"]
        assert [path for path in found["write"] if not path.startswith(shared)] == []
        outside = [path for path in found["read"] if not path.startswith(shared) and "/public/" not in path]
        assert set(outside) <= own
        theirs = await Kernel.start(http, mine["url"], bearer(world, mallory))
        folder = (await theirs.run("import os; print(os.path.dirname(os.environ['JUPYTER_RUNTIME_DIR']))")).strip()
        hers_at = next(path for path in Path(world.folder, "run").glob("*/s") if path.owner() == alice)
        await theirs.run(f"os.rename('{folder}/s', '{folder}/t'); os.symlink('{hers_at}', '{folder}/s')")
        async with http.get(f"{mine['url']}api/kernels", headers=bearer(world, mallory)) as answer:
            assert answer.status == 502
            assert "somebody else" in await answer.text()


async def test_what_a_member_plants_changes_nothing_outside(world: World) -> None:
    carol, dave = world.add("carol"), world.add("dave")
    before = [rights(path) for path in ("/etc", "/etc/shadow", "/etc/passwd")]
    async with world.client(carol) as hers, world.client(dave) as his, aiohttp.ClientSession() as http:
        slug = await project_of(hers, carol, "planted")
        await hers.ask("PUT", f"/api/v1/projects/{slug}/team/{dave}", {})
        session = await opened(his, slug)
        kernel = await Kernel.start(http, session["url"], bearer(world, dave))
        await kernel.run(PLANT)
        url = f"{kernel.base}api/kernels/{kernel.id}/channels"
        async with http.ws_connect(url, headers=bearer(world, dave)) as socket:
            assert (await hers.ask("DELETE", f"/api/v1/projects/{slug}/team/{dave}")).status == 200
            while (message := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)

        async def passed_on() -> bool:
            return (world.folder / "projects" / slug / "mine").owner() == carol

        await until(passed_on, 30, "what the former member owned is the owner's")
        assert not (world.folder / "projects" / slug / "mine").stat().st_mode & 0o6000  # else it were carol's setuid
    assert before == [rights(path) for path in ("/etc", "/etc/shadow", "/etc/passwd")]


async def test_a_name_given_again_inherits_nothing(world: World) -> None:
    """Removed and made again in the browser: the same name is another account on the node, and reads nothing of the first."""
    erin, frank = world.add("erin"), world.add("frank")
    look = "import os; print(os.getuid(), os.path.exists('diary.txt'))"
    async with world.client(erin) as hers, aiohttp.ClientSession() as http:
        slug, other = await project_of(hers, erin, "first"), await project_of(hers, erin, "second")
        await hers.ask("PUT", f"/api/v1/projects/{slug}/team/{frank}", {})
        async with world.client(frank) as his:
            kernel = await Kernel.start(http, (await opened(his, slug))["url"], bearer(world, frank))
        uid, _ = (await kernel.run(look)).split()
        await kernel.run("import os; os.chdir(os.path.expanduser('~')); open('diary.txt', 'w').write('d')")
        await kernel.run("open(os.environ['AEN_PROJECT_DIR'] + '/theirs.txt', 'w').write('t')")
        world.api.delete("users", frank)
        assert world.add("frank") == frank
        await hers.ask("PUT", f"/api/v1/projects/{other}/team/{frank}", {})
        async with world.client(frank) as his:
            kernel = await Kernel.start(http, (await opened(his, other))["url"], bearer(world, frank))
        now = (await kernel.run("import os; os.chdir(os.path.expanduser('~'));" + look)).split()
        assert int(now[0]) > int(uid)
        assert now[1] == "False"
        old = f"/home/{frank[:20]}-was-{uid}/diary.txt"
        for path in (old, str(world.folder / "projects" / slug / "theirs.txt")):
            assert Path(path).exists()
            said = await kernel.run(f"try: print(open({path!r}).read())\nexcept PermissionError: print('refused')")
            assert said.strip() == "refused"


def rights(path: str) -> tuple[int, int, int, list[str]]:
    """Who may do what with a file."""
    status = os.stat(path)
    return status.st_mode, status.st_uid, status.st_gid, os.listxattr(path)
