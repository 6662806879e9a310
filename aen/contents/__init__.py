"""Contents of projects: the program that reads them for search, packs them into one archive and unpacks such an archive.

It runs as a person through the launcher, never as the service account: what it may read and write, the kernel decides.
"""

from __future__ import annotations

from pathlib import Path

#: The program; it lies in the environment of the apps.
USER_SIDE = Path(__file__).with_name("user_side") / "aen_contents"
PROGRAM = "aen_contents"
