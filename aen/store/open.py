"""Opens the store that a URL names, by the plug point `aen.stores`."""

from __future__ import annotations

from urllib.parse import urlsplit

from aen import plugins
from aen.errors import Invalid
from aen.store import Store


def open_store(url: str) -> Store:
    """The store that `url` names (`sqlite:///path`, `mongodb://…`), not yet entered. Raises Invalid, naming store.url.

    The plug-in is a class with `from_url(url)`; its name is the URL's scheme.
    """
    scheme = urlsplit(url).scheme
    known = plugins.names("aen.stores")
    if scheme not in known:
        shown = f"{scheme}://…" if scheme else "this"
        raise Invalid(f"store.url: {shown} names no store that is installed. Known: {', '.join(known)}.")
    made: Store = plugins.load("aen.stores", scheme).from_url(url)
    return made
