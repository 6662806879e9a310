"""Activity: what people and their code do here, so that AEN can say why a session is alive, and stop forgotten ones.

Activity is: a kernel that works, what a terminal writes, saving a file, starting or ending something, opening a page.
It is not: that a tab is open, asks again and again, connects again, or that AEN asks.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from aen_languages import LANGUAGE, of_request, spoken
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from jupyter_server_terminals.terminalmanager import TerminalManager
from tornado import web

from aen_jupyter import exports, language

_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
_DONE = re.compile(r"/api/(contents|sessions|kernels|terminals)(/|$)")
_WORDS = {"contents": "a change of files", "terminals": "a terminal that was opened or closed"}
_EXTENSIONS = Path(__file__).with_name("labextensions")
_PAGE = "a page that was opened"
_wrote: dict[str, int] = {}  # terminal → when it wrote something last
_person: dict[str, Any] = {"at": 0, "what": ""}  # what a person did last, other than by a kernel or in a terminal


class WatchedTerminals(TerminalManager):
    """Terminals that know when they last wrote something: what people type comes back as well."""

    def pre_pty_read_hook(self, ptywclients: Any) -> None:
        """See Jupyter's own. Its time of last activity is not enough: it counts tabs that connect again."""
        super().pre_pty_read_hook(ptywclients)
        _wrote[ptywclients.term_name] = _now()


def watch_busy(kernel: Any) -> None:
    """Keep `kernel.aen_busy_since` (ms since 1970; 0: idle) in line with its state."""
    if hasattr(kernel, "aen_busy_since"):
        return
    kernel.aen_busy_since = 0

    def changed(change: Any) -> None:
        if change["new"] != "busy":
            kernel.aen_busy_since = 0
        elif not kernel.aen_busy_since:
            kernel.aen_busy_since = _now()

    kernel.observe(changed, "execution_state")


class ActivityHandler(APIHandler):
    """`GET aen/activity`: what works now, and what was seen last."""

    @web.authenticated
    async def get(self) -> None:
        """Times in ms since 1970; `what` is for people."""
        busy: list[dict[str, Any]] = []
        seen: list[dict[str, Any]] = [dict(_person)] if _person["at"] else []
        of_kernels = await self._names()
        for number, kernel_id in enumerate(self.kernel_manager.list_kernel_ids(), 1):
            kernel = self.kernel_manager.get_kernel(kernel_id)
            what = of_kernels.get(kernel_id) or f"kernel {number}"
            if kernel.execution_state == "busy":
                busy.append({"since": getattr(kernel, "aen_busy_since", 0) or _now(), "what": what})
            seen.append({"at": _ms(kernel.last_activity), "what": what})
        terminals = self.settings.get("terminal_manager")
        for name in terminals.terminals if terminals is not None else ():
            seen.append({"at": _wrote.get(name, 0), "what": f"terminal {name}"})
        self.finish(json.dumps({"busy": busy, "seen": seen}))

    async def _names(self) -> dict[str, str]:
        """Kernel → the notebook it belongs to."""
        sessions = await self.session_manager.list_sessions()
        return {each["kernel"]["id"]: f"the kernel of {each['path']}" for each in sessions if each.get("path")}


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by Jupyter: answer at `aen/activity`, and look at requests that have been answered."""
    exports.offer_what_can_be_made(server.config)
    application = server.web_app
    place = url_path_join(application.settings["base_url"], "aen/activity")
    application.add_handlers(".*$", [(place, ActivityHandler)])
    language.add_handlers(application)
    application.settings.setdefault("page_config_data", {}).update(way_back())
    application.settings["page_config_hook"] = _with_words
    application.settings["log_function"] = _watching(application.settings.get("log_function"))


def way_back() -> dict[str, str]:
    """What pages are told, for the link to the project's page (`labextensions/aen-home`)."""
    server, project = os.environ.get("AEN_SERVER_URL", ""), os.environ.get("AEN_PROJECT", "")
    return {"aenHome": f"{server.rstrip('/')}/{project}", "aenProject": project} if server and project else {}


def _with_words(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
    """What our extensions say (`labextensions`), in the language of who opens the page. Called by Jupyter for each page."""
    LANGUAGE.set(of_request(handler.request.headers))
    return {**page_config, "aenWords": spoken(_EXTENSIONS)}


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "aen_jupyter.activity"}]


def _watching(log: Callable[[Any], None] | None) -> Callable[[Any], None]:
    def answered(handler: Any) -> None:
        what = _done(handler.request) if handler.get_status() < 400 else ""
        if what:
            _person.update(at=_now(), what=what)
        if log is not None:
            log(handler)

    return answered


def _done(request: Any) -> str:
    """What a person did by this request, in words; empty: nothing that counts."""
    if request.method in _LOOKING:
        return _PAGE if request.headers.get("Sec-Fetch-Mode") == "navigate" else ""
    found = _DONE.search(request.path)
    return _WORDS.get(found[1], "a kernel that was started or ended") if found else ""


def _now() -> int:
    return int(time.time() * 1000)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
