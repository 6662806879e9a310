"""Errands: what AEN does in a project as one of its people: git, runs of notebooks, rendering what is published.

The program lies in the environment of the apps, and is run as the person through the launcher.
"""

from __future__ import annotations

from pathlib import Path

#: Copied into the environment of the apps.
USER_SIDE = Path(__file__).with_name("user_side") / "aen_errands"
PROGRAM = "aen_errands"
