"""Services are forked from one process that has loaded what they share: docs/decisions/0013-the-fork-server.md."""

from pathlib import Path

from appliance.lib.home import Home

NAME = "forkserver"
"""Of the program. No service's name is longer: it takes this one's place on the command line."""


def loaded_file(home: Home) -> Path:
    """It is there once a fork server of this start of the box has loaded."""
    return home.runtime / "forkserver.loaded"
