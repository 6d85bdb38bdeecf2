"""The time zone of the machine that the box runs on: what the clock on the wall beside it shows."""

from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

LOCAL_TIME = Path("/etc/localtime")


def box_zone(file: Path = LOCAL_TIME) -> tzinfo:
    """UTC where the machine does not say. Not from ``TZ``, which the web framework sets to UTC."""
    try:
        with file.open("rb") as opened:
            return ZoneInfo.from_file(opened)
    except (OSError, ValueError):
        return UTC
