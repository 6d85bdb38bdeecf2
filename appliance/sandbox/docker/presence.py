"""Whether there is a container engine at all: asked without its library."""

import stat
from pathlib import Path


def engine_missing(url: str) -> str:
    """That there is no socket of an engine at ``url``, as far as whoever runs us can see; empty when there is."""
    path = Path(url.removeprefix("unix://"))
    try:
        found = stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        found = False
    return "" if found else f"no Docker engine at {path}"
