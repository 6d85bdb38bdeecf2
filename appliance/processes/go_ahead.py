"""Services load while the engines start, and begin when ``up`` gives the go-ahead.

Most of a start is the time in which interpreters load code. It needs no database, so it need not wait for one; but
nothing of a service may run before the database answers and its tables are those of this version.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from appliance.lib.home import Home

VARIABLE = "MW_GO_AHEAD"
"""The path that a service waits for. Without it, as under other process managers, it begins at once."""

NAME = "go-ahead"
"""In the folder of the box's sockets."""
_LOOK_EVERY = 0.02


def file_of(home: Home) -> Path:
    return home.runtime / NAME


def withhold(home: Home) -> None:
    """From here on services only load. Nothing of the box may run yet."""
    file_of(home).unlink(missing_ok=True)


def give(home: Home) -> None:
    """The services begin; so does each that is started again later."""
    file_of(home).touch()


def is_withdrawn(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a service that is asked to end goes down with the whole box, rather than to be started again.

    Other process managers say nothing of it: whoever is asked to end there leaves nothing behind.
    """
    path = environment.get(VARIABLE)
    return not path or not Path(path).exists()


def wait(environment: Mapping[str, str] = os.environ) -> None:
    """Called by a service when it has loaded what it needs. As long as it takes: ``up`` ends it where it gives up."""
    path = environment.get(VARIABLE)
    while path and not Path(path).exists():
        time.sleep(_LOOK_EVERY)
