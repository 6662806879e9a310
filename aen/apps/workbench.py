"""Workbench: the files of a project over HTTP, run as the person: browse, upload, edit, permissions, trash."""

from __future__ import annotations

from aen.apps import App
from aen.apps.files import FilesServer


class WorkbenchServer(FilesServer):
    """The Workbench of one person in one project."""

    name = "workbench"
    package = "aen_workbench"
    ready = "api/ready"
    used = "files"
    entry = App(
        "workbench",
        "Workbench",
        "The project's files: upload, edit, say who may read them, bring back",
        "project",
        "workbench",
        "",
    )
