"""Collections for the contract suite: every kind of index that the contract knows."""

from __future__ import annotations

from aen.store import Collection, Index

SCHEMA = (
    Collection("plain"),
    Collection(
        "things",
        (
            Index("by_name", ("name",), unique=True),
            Index("by_color", ("color", "size")),
            Index("by_size", ("size",)),
            Index("by_flag", ("flag", "id")),
            Index("by_place", ("room", "shelf", "size")),
            Index("by_tag", ("tags", "size"), array=True),
            Index("by_owner", ("owners", "id"), array=True),
        ),
        prefix=("id", "name", "color"),
        text=("about", "more"),
    ),
)
