"""The virtual machine that the tests here share. Without `./dev vm` they are not even looked at: a boot takes a minute, an installation half an hour."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.vm import image
from tests.vm.box import Box, documented, fresh

collect_ignore_glob = [] if os.environ.get("AEN_VM") else ["test_*.py"]

#: A web server that takes all the memory there is, or forks without end, once a file in the project tells it to.
TROUBLE = """
import http.server, os, subprocess, sys, threading, time
def wait():
    while True:
        time.sleep(0.1)
        if os.path.exists(sys.argv[2] + "/eat"):
            print("about to eat", flush=True)
            held = []
            while True:
                held.append(bytearray(1 << 20))
        if os.path.exists(sys.argv[2] + "/fork"):
            subprocess.run(["sh", "-c", "b() { b | b & }; b; sleep 600"])
threading.Thread(target=wait, daemon=True).start()
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""
APPS = {
    "trouble": {
        "title": "Trouble",
        "strip_prefix": True,
        "command": ["python", "-uc", TROUBLE, "{port}", "{project}"],
        "limits": {"memory": "100M", "processes": 60, "cpus": 0.5},
    }
}


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """A machine on which AEN was set up as docs/install.md says, and runs by its unit."""
    if why := image.why_not():
        pytest.skip(why)
    made = fresh("tests")
    try:
        made.configure(apps=APPS)
        made.machine.run(documented()[-2], timeout=600)
        made.add("ann", admin=True)
        yield made
    finally:
        made.machine.off()
