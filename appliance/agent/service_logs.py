"""The logs of the box's own services: the last lines that fit, from the end of a file, bounded."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.errors import QueryRefused
from appliance.lib.config import get_config
from appliance.lib.masking import KNOWN

MOST_BYTES = 2 << 20
"""Of the end of one file."""
LONGEST_LINE = 600
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_HEAD = re.compile(
    r"(?:\[\d+\] )?(\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d)\S* +(?:UTC +)?(?:\[\d+\] +)?\[?([A-Z]{3,8})?\b"
)
"""Of the box's own services, of PostgreSQL and of NATS."""
_OTHER_WORDS = {"WRN": "WARNING", "ERR": "ERROR", "FTL": "CRITICAL", "FATAL": "CRITICAL", "PANIC": "CRITICAL"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """``level``: this one and worse; lines that name none count as INFO. ``since``: lines without a time belong to the
    one before; a log that has no times at all is told from its end."""

    word: str = ""
    level: str = ""
    since: datetime | None = None
    most: int = 50


@dataclass(slots=True)
class _Entry:
    at: datetime | None
    level: str
    lines: list[str] = field(default_factory=list)


def services(by: Principal) -> list[str]:
    """Whose logs there are. Raises NotAllowed."""
    by.require(Ability.EXAMINE)
    return sorted(one.stem for one in get_config().home.logs.glob("*.log") if _NAME.fullmatch(one.stem))


def last_lines(service: str, wanted: Wanted, by: Principal) -> list[str]:
    """The last entries that fit, the newest last, without the secrets that the box keeps.

    Raises NotAllowed, QueryRefused.
    """
    by.require(Ability.EXAMINE)
    if not _NAME.fullmatch(service) or service not in services(by):
        raise QueryRefused(
            f"there is no log of {service[:40]!r}", hint=f"there are {', '.join(services(by))}"
        )
    entries = list(_entries(_tail(get_config().home.logs / f"{service}.log")))
    if not any(one.at for one in entries):
        wanted = replace(wanted, since=None)
    found = [one for one in entries if _fits(one, wanted)]
    lines = [line for one in found[-wanted.most :] for line in one.lines]
    return [KNOWN.text(line)[:LONGEST_LINE] for line in lines[-wanted.most * 4 :]]


def _tail(path: Path) -> Sequence[str]:
    """No link is followed: services own the folder."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise QueryRefused(f"the log {path.name} cannot be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise QueryRefused(f"{path.name} is no plain file")
        begin = max(0, found.st_size - MOST_BYTES)
        file.seek(begin)
        lines = file.read(MOST_BYTES).decode(errors="replace").splitlines()
    return lines[1:] if begin else lines


def _entries(lines: Sequence[str]) -> Iterator[_Entry]:
    """Each line with a time begins one; what follows without (a traceback) is part of it."""
    entry: _Entry | None = None
    for line in lines:
        head = _HEAD.match(line)
        if head is None and entry is not None:
            entry.lines.append(line)
            continue
        if entry is not None:
            yield entry
        entry = (
            _Entry(_time(head[1]), _level(head[2] or ""), [line]) if head else _Entry(None, "INFO", [line])
        )
    if entry is not None:
        yield entry


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("/", "-")).replace(tzinfo=UTC)
    except ValueError:
        return None


def _level(word: str) -> str:
    found = _OTHER_WORDS.get(word, word)
    return found if found in LEVELS else "INFO"


def _fits(entry: _Entry, wanted: Wanted) -> bool:
    if wanted.since is not None and (entry.at is None or entry.at < wanted.since):
        return False
    if wanted.level and LEVELS.index(entry.level) < LEVELS.index(wanted.level):
        return False
    word = wanted.word.casefold()
    return not word or any(word in line.casefold() for line in entry.lines)
