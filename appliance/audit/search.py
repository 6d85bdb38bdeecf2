"""Searching the record: each page walks one index from where the last one ended, and looks at a bounded number of rows.

So a page of a million records costs what one of a thousand does. What no index knows (a text, two conditions at once)
is looked for in a window of rows; a page may then hold less than it could, and says how far it has looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from appliance.audit import sql_search as sql
from appliance.audit.models import AuditRecord
from appliance.lib.glob import Glob
from appliance.lib.identity import time_of

WINDOW = 5_000
"""Rows that one page looks at, at most: 50 ms of a record of a million, and 250 ms were it four times as many."""
MOST_NAMES = 500
"""Kinds, or principals, that one pattern may stand for."""
MOST_WALKS = 20
"""Names that are worth a walk each; with more of them the record itself is walked."""
SLACK = timedelta(minutes=10)
"""How much later than its own time a record is put on record, at the most."""
END = 2**63 - 1
_ABOUT = (
    "device/",
    "platform/",
    "broker/",
    "value/",
    "policy/",
    "image/",
    "outbox/",
    "secret:",
    "user:",
    "token:",
)


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; empty means anything. ``kind`` and ``principal`` may hold ``*``; ``about`` is a run, a task, a
    device or any other subject; ``text`` is looked for in all that a record says, whatever its case."""

    since: datetime | None = None
    until: datetime | None = None
    kind: str = ""
    principal: str = ""
    about: str = ""
    text: str = ""


@dataclass(slots=True)
class Found:
    """A page, newest first. ``next`` is where the following one begins; None at the end. ``looked`` is the record that
    the search has come to where it stopped before the page was full."""

    records: list[AuditRecord] = field(default_factory=list)
    next: int | None = None
    looked: int | None = None


def search(wanted: Search, before: int | None = None, limit: int = 50) -> Found:
    """The newest ``limit`` records that fit, of those before record ``before``."""
    low, high = bounds_of(wanted.since, wanted.until)
    high = min(high, before or END)
    values: dict[str, Any] = {
        "low": low,
        "high": high,
        "window": WINDOW,
        "limit": limit + 1,
        "since": wanted.since,
        "until": wanted.until,
        "needle": _like(wanted.text) if wanted.text else None,
        "kinds": _names("kind", wanted.kind),
        "principals": _names("principal", wanted.principal),
    }
    if values["kinds"] == [] or values["principals"] == []:
        return Found()
    run = _run_in(wanted.about)
    if run is not None:
        statements = sql.CHOSEN
        values["seqs"] = [seq for seq in seqs_of_run(run) if low < seq < high]
    elif wanted.about:
        statements = sql.ABOUT
        values |= {"subjects": _subjects(wanted.about), "said": _said(wanted.about)}
    else:
        statements = _narrowest(values)
    rows = list(AuditRecord.objects.raw(statements.found, values))
    return _page(statements, values, rows, limit)


def _narrowest(values: dict[str, Any]) -> sql.Statements:
    """By the index of fewest names, all of which together look at one window of rows."""
    names: dict[str, list[str]] = {"principal": values["principals"], "kind": values["kinds"]}
    fitting = [column for column, found in names.items() if found and len(found) <= MOST_WALKS]
    column = min(fitting, key=lambda one: len(names[one]), default="")
    more = [name for name in ("since", "until", "needle", "principals", "kinds") if values[name] is not None]
    walks = len(names[column]) if column else 1
    # Where the index knows everything that was asked, no row is looked at in vain.
    exact = set(more) <= {f"{column}s"}
    values["window"] = values["limit"] if exact else max(1, WINDOW // walks)
    if not column:
        return sql.ALL
    values |= {f"{column}_{n}": name for n, name in enumerate(names[column])}
    return sql.by(column, walks)


def _page(statements: sql.Statements, values: dict[str, Any], rows: list[AuditRecord], limit: int) -> Found:
    if len(rows) > limit:
        return Found(rows[:limit], rows[limit - 1].seq)
    with connection.cursor() as cursor:
        cursor.execute(statements.looked, values)
        row = cursor.fetchone()
    looked = row[0] if row else None
    return Found(rows, looked, looked)


def seqs_of_run(run_id: UUID, ended: datetime | None = None) -> list[int]:
    """The records about a run: those of itself and its steps, and those of others that name it.

    The reflex lane writes the intents of many runs in one record, within moments of their beginning.
    """
    begun = time_of(run_id)
    low, _ = bounds_of(begun - timedelta(minutes=1), None)
    _, soon = bounds_of(None, max(begun, ended or begun) + SLACK)
    values: dict[str, Any] = {
        "run": str(run_id),
        "steps": f"{run_id}/%",
        "needle": f"%{run_id}%",
        "low": low,
        "soon": soon,
    }
    kinds = [kind for kind in _names("kind", "*") or [] if kind not in _OF_ITSELF]
    values |= {f"kind_{n}": kind for n, kind in enumerate(kinds)}
    with connection.cursor() as cursor:
        cursor.execute(sql.of_run(len(kinds)), values)
        return [row[0] for row in cursor.fetchall()]


_OF_ITSELF = frozenset({"step.intent", "step.refused", "run.started"})
"""Kinds whose subject is the run or a step of it: they need not be read to see which run they name."""


def bounds_of(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Records beyond these two (exclusive) are of other times, by the signed heads between which they stand."""
    values = {
        "since": since.astimezone(UTC).isoformat() if since else None,
        "until": (until + SLACK).astimezone(UTC).isoformat() if until else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql.BOUNDS, values)
        low, high = cursor.fetchone()
    return low or 0, END if high is None else high + 1


def _names(column: str, pattern: str) -> list[str] | None:
    """The kinds or principals that a pattern stands for; None: all. ``run.`` is what begins so."""
    if not pattern:
        return None
    if column == "kind" and pattern.endswith("."):
        pattern += "*"
    if "*" not in pattern and "?" not in pattern:
        return [pattern]
    begins = pattern.replace("?", "*").partition("*")[0]
    found: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute(sql.NAMES[column], {"begins": _escaped(begins) + "%", "most": MOST_NAMES * 4})
        found = [row[0] for row in cursor.fetchall()]
    glob = Glob(pattern)
    return [name for name in found if glob.matches(name)][:MOST_NAMES]


def _run_in(about: str) -> UUID | None:
    """A run's identifier, also as part of an address or of ``run/…``."""
    for part in reversed(about.replace("/", " ").split()):
        try:
            return UUID(part) if len(part) == 36 else None
        except ValueError:
            continue
    return None


def _subjects(about: str) -> list[str]:
    return [about, *(prefix + about for prefix in _ABOUT)]


def _said(about: str) -> Sequence[str]:
    """How the detail of a record names a task or a device."""
    text = _escaped(about.replace("\\", "\\\\").replace('"', '\\"'))
    return [f'%"{key}":"{text}"%' for key in ("task", "device")]


def _like(text: str) -> str:
    return f"%{_escaped(text)}%"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
