"""Reasons: why an app can't be had, as people are told. They are translated where they are shown."""

from __future__ import annotations

from aen.languages import N_

AWAY = N_("The app can't be reached. It may just be stopping or starting.")
TAKEN = N_("The app's address is taken by somebody else. Stop and start the project.")
OVERLOADED = N_("The app does not take connections. It may be overloaded.")
SLOW = N_("The app did not begin to answer in time.")
SILENT = N_("The app ended the connection without an answer. It may have stopped.")
CUT_OFF = N_("The app's answer was cut off.")
#: What a compute node says of itself.
SESSION_ENDED = N_("The session has ended. Open the app from its project's page.")
NODE_DRAINS = N_("The compute node is being restarted. Your session goes on: try again in a moment.")
NODE_BUSY = N_("The compute node has as many connections open as it takes. Try again in a moment.")
NODE_REFUSES = N_("The compute node does not know this gateway. An administrator finds more in both logs.")
NODE_LEADS_NOWHERE = N_("The compute node can't lead to the app. An administrator finds more in its log.")
