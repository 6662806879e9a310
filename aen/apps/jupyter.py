"""Jupyter: one app server for JupyterLab, Notebook and the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aen.apps import App, Command, Launch, Seen
from aen.apps.shells import shell_command
from aen.apps.surroundings import surroundings
from aen.errors import Invalid

#: Copied into the site-packages of the `apps` environment: it runs as the user.
USER_SIDE = Path(__file__).with_name("user_side") / "aen_jupyter"

_LONGEST_SOCKET = 107  # bytes: sockaddr_un
_KERNEL_SOCKET = "/rt/kernel-00000000-0000-0000-0000-000000000000-ipc-5"


class JupyterServer:
    """JupyterLab, Notebook and terminals of one person in one project."""

    name = "jupyter"
    title = "Jupyter"
    shared = False

    def apps(self) -> Sequence[App]:
        """Its three entries."""
        return (
            App(
                "jupyterlab",
                "JupyterLab",
                "Notebooks, files and terminals side by side",
                "jupyterlab",
                self.name,
                "lab",
            ),
            App("notebook", "Notebook", "One notebook at a time, the classic way", "notebook", self.name, "tree"),
            App("terminal", "Terminal", "A shell in the project", "terminal", self.name, "terminals/1"),
        )

    def command(self, launch: Launch) -> Command:
        """How to start it. Raises Invalid when `run_dir` is too long for sockets."""
        run_dir = launch.run_dir.rstrip("/")
        if len(os.fsencode(run_dir + _KERNEL_SOCKET)) > _LONGEST_SOCKET:
            raise Invalid(f"run_dir is too long for the sockets of kernels ({run_dir}): choose a shorter one.")
        return Command(
            # -P and cwd: a folder that a team may write to must not be on sys.path.
            argv=[str(launch.apps_python), "-P", "-m", "jupyterlab", *_options(launch, run_dir)],
            environ=_environ(launch, run_dir),
            cwd=launch.home,
            upstream=f"unix:{run_dir}/s",
            ready="api/status",
        )

    async def activity(self, launch: Launch, get_json: Callable[[str], Awaitable[Any]]) -> Seen | None:
        """What our extension in Jupyter says (`aen_jupyter/activity.py`): neither asking nor a forgotten tab is activity."""
        told = await get_json("aen/activity")
        busy = [(int(one["since"]), str(one["what"])) for one in told["busy"]]
        seen = [(int(one["at"]), str(one["what"])) for one in told["seen"]]
        at, what = max(seen, default=(0, ""))
        if busy:
            since, what = min(busy)
            more = f" and {len(busy) - 1} more" if len(busy) > 1 else ""
            return Seen(at, what + more, busy=True, since=since)
        return Seen(at, what)


def _options(launch: Launch, run_dir: str) -> list[str]:
    labextensions = _user_side(launch) / "labextensions"
    terminal = {"shell_command": shell_command(launch.shell, _user_side(launch))}
    options: Mapping[str, object] = {
        "ServerApp.base_url": launch.prefix,
        "ServerApp.root_dir": launch.project_dir,
        "ServerApp.preferred_dir": launch.project_dir,
        "ServerApp.sock": f"{run_dir}/s",
        "ServerApp.sock_mode": "0660",
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,  # under whom it runs is the launcher's business
        "ServerApp.allow_remote_access": True,
        "ServerApp.trust_xheaders": True,
        "ServerApp.allow_unauthenticated_access": False,
        # Else JupyterLab's pages send a token of Jupyter's own, which the gateway takes for one of ours that ended.
        "IdentityProvider.token": "",
        "ServerApp.identity_provider_class": "aen_jupyter.identity.AenIdentityProvider",
        "ServerApp.authorizer_class": "aen_jupyter.identity.AenAuthorizer",
        "ServerApp.kernel_spec_manager_class": "aen_jupyter.kernels.ProjectKernels",
        "ServerApp.kernel_manager_class": "aen_jupyter.kernels.ProjectKernelManager",
        "TerminalsExtensionApp.terminal_manager_class": "aen_jupyter.activity.WatchedTerminals",
        "ServerApp.quit_button": False,
        "ServerApp.terminado_settings": json.dumps(terminal),
        # Loopback ports of kernels are open to everybody on the machine.
        "KernelManager.transport": "ipc",
        "MultiKernelManager.default_kernel_name": "python3",
        "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
        # Our way back to the project's page, and to kernels after a restart.
        "LabApp.extra_labextensions_path": labextensions,
        "JupyterNotebookApp.extra_labextensions_path": labextensions,
    }
    return [f"--{key}={value}" for key, value in options.items()]


def _environ(launch: Launch, run_dir: str) -> dict[str, str]:
    return {
        **surroundings(launch),
        "AEN_APP_TOKEN": launch.secret,
        "AEN_APP_USER": launch.user,
        "AEN_SERVER_URL": launch.server_url,
        "JUPYTER_RUNTIME_DIR": f"{run_dir}/rt",
        "JUPYTER_CONFIG_PATH": str(_user_side(launch) / "config"),
        # A project's tabs are its own: one folder for all would open them in every project.
        "JUPYTERLAB_WORKSPACES_DIR": str(Path(launch.home, ".jupyter", "lab", "aen", launch.prefix.strip("/"))),
    }


def _user_side(launch: Launch) -> Path:
    """Our package as it lies in the environment of the apps."""
    lib = launch.apps_python.parent.parent / "lib"
    return next(lib.glob("python3.*/site-packages")) / USER_SIDE.name
