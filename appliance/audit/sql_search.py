"""Named SQL of searching the record: every statement walks an index and stops after a bounded number of rows."""

from dataclasses import dataclass
from functools import cache

# The first head that was signed at or after a time, and the last one before a time: by their numbers, so that a clock
# that was set back can only make the stretch longer, never leave something out.
BOUNDS = """
SELECT
    (SELECT s.seq FROM audit_signature s WHERE %(since)s::text IS NOT NULL AND s.number < coalesce(
        (SELECT min(f.number) FROM audit_signature f WHERE f.at >= %(since)s::text), 9223372036854775807)
     ORDER BY s.number DESC LIMIT 1),
    (SELECT s.seq FROM audit_signature s WHERE %(until)s::text IS NOT NULL AND s.number > coalesce(
        (SELECT max(f.number) FROM audit_signature f WHERE f.at < %(until)s::text), 0)
     ORDER BY s.number LIMIT 1)
"""


def _names(column: str) -> str:
    """Different values of a column, by skipping from one to the next along its index."""
    return f"""
WITH RECURSIVE names AS (
    (SELECT {column} AS name FROM audit_record WHERE {column} LIKE %(begins)s
     ORDER BY {column} USING ~<~ LIMIT 1)
    UNION ALL
    SELECT (SELECT r.{column} FROM audit_record r WHERE r.{column} LIKE %(begins)s AND r.{column} ~>~ n.name
            ORDER BY r.{column} USING ~<~ LIMIT 1)
    FROM names n WHERE n.name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL LIMIT %(most)s
"""


NAMES = {"kind": _names("kind"), "principal": _names("principal")}

_COLUMNS = "r.seq, r.at, r.kind, r.principal, r.subject, r.body"
_RANGE = "r.seq > %(low)s AND r.seq < %(high)s"
_FITS = """
(%(since)s::timestamptz IS NULL OR at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
    AND (%(needle)s::text IS NULL OR body ILIKE %(needle)s)
    AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s::text[]))
    AND (%(principals)s::text[] IS NULL OR principal = ANY(%(principals)s::text[]))
"""


_ALL = f"""
SELECT '' AS name, {_COLUMNS} FROM audit_record r WHERE {_RANGE} ORDER BY r.seq DESC LIMIT %(window)s
"""


def _each(column: str, count: int) -> str:
    """The newest rows of each name, each from the end of its own stretch of the index.

    One branch a name, and not a join: so the planner knows of each how rare it is.
    """
    return " UNION ALL ".join(
        f"""
(SELECT '{n}' AS name, {_COLUMNS} FROM audit_record r WHERE r.{column} = %({column}_{n})s AND {_RANGE}
 ORDER BY r.seq DESC LIMIT %(window)s)"""
        for n in range(count)
    )


# Where a name has more rows than were looked at, nothing older is shown of any: the next page begins there.
_STOP = """
SELECT max(low) AS seq FROM (
    SELECT min(w.seq) AS low FROM looked_at w GROUP BY w.name HAVING count(*) >= %(window)s) f
"""


@dataclass(frozen=True, slots=True)
class Statements:
    """``found`` gives the rows of a page, ``looked`` where the search stopped: NULL where it came to the end."""

    found: str
    looked: str


def _statements(window: str, more: str = "true") -> Statements:
    looked_at = f"WITH looked_at AS MATERIALIZED ({window})"
    found = f"""
{looked_at}, stop AS ({_STOP})
SELECT w.seq, w.at, w.kind, w.principal, w.subject, w.body FROM looked_at w
WHERE w.seq >= coalesce((SELECT s.seq FROM stop s), 0) AND {_FITS} AND {more} ORDER BY w.seq DESC LIMIT %(limit)s
"""
    return Statements(found, looked_at + _STOP)


@cache
def by(column: str, count: int) -> Statements:
    """Through the index of ``kind`` or ``principal``; the names are ``kind_0``, ``kind_1``, …"""
    return _statements(_each(column, count))


ALL = _statements(_ALL)
ABOUT = _statements(_ALL, "(subject = ANY(%(subjects)s::text[]) OR body LIKE ANY(%(said)s::text[]))")
CHOSEN = _statements(f"""
SELECT '' AS name, {_COLUMNS} FROM audit_record r WHERE r.seq = ANY(%(seqs)s::bigint[]) AND {_RANGE}
""")


@cache
def of_run(count: int) -> str:
    """The numbers of the records about a run: by their subject, and those of other kinds that name it."""
    named = " UNION ".join(
        f"""
(SELECT r.seq FROM audit_record r WHERE r.kind = %(kind_{n})s AND r.seq > %(low)s
    AND (%(kind_{n})s <> 'steps.intent' OR r.seq < %(soon)s) AND r.body LIKE %(needle)s)"""
        for n in range(count)
    )
    return f"""
SELECT r.seq FROM audit_record r WHERE r.subject = %(run)s
UNION
SELECT r.seq FROM audit_record r WHERE r.subject LIKE %(steps)s
{"UNION" if named else ""} {named}
ORDER BY 1
"""
