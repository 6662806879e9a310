"""Language: JupyterLab and Notebook speak the reader's language, unless they chose another one in JupyterLab's own settings."""

from __future__ import annotations

import asyncio
import json

from aen_languages import of_request
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from jupyterlab_server.translation_utils import get_language_pack, translator
from tornado import web

_ENGLISH = "en"
#: Language → the language pack in this environment. JupyterLab's own texts are English.
_PACKS = {"de": "de_DE"}
_APPS = "(?:lab|tree)"


class ReadersLanguage(APIHandler):
    """`GET lab/api/translations/default`: what "default" is, the server's locale elsewhere, is the language of who asks here."""

    @web.authenticated
    async def get(self) -> None:
        """The texts, as Jupyter's own handler gives those of a language that is named."""
        locale = _PACKS.get(of_request(self.request.headers), _ENGLISH)
        data, message = ({}, "") if locale == _ENGLISH else await asyncio.to_thread(get_language_pack, locale)
        translator.set_locale(locale if data else _ENGLISH)  # of the titles of settings
        self.finish(json.dumps({"data": data, "message": message}))


def add_handlers(application: web.Application) -> None:
    """Answer before JupyterLab does: its extension is loaded after ours."""
    place = url_path_join(application.settings["base_url"], _APPS, "api", "translations", "default")
    application.add_handlers(".*$", [(place, ReadersLanguage)])
