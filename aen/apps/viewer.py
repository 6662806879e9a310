"""Viewer: a project's files to look at, notebooks with what they showed, run as the person. Nothing is executed or changed."""

from __future__ import annotations

from aen.apps import App
from aen.apps.files import FilesServer


class ViewerServer(FilesServer):
    """The Viewer of one person in one project. Whoever is in the team may open it, viewers too."""

    name = "viewer"
    looks_only = True
    package = "aen_viewer"
    ready = ".aen/ready"  # hidden files are not shown: no file of the project can have this address
    entry = App("viewer", "Viewer", "Notebooks, Markdown, code and pictures to look at", "search", "viewer", "")
