"""Named SQL of the lines before targets that are away: one row for each run that waits for its target, or for its turn.

A table of its own, and not a column of the run: whoever is about to act asks whether it is empty, and runs are
partitioned by day. The order of a line is the age of its runs, which is the order of their identifiers.
"""

from appliance.runs.domain import FINAL

CREATE = """
CREATE TABLE runs_away (
    run_id uuid PRIMARY KEY,
    target text NOT NULL,
    behind boolean NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX runs_away_line ON runs_away (target, run_id);
"""
DROP = "DROP TABLE runs_away"

SOME_AWAY = "EXISTS (SELECT FROM runs_away)"
"""What the statements before an effect bring along. The table is empty but while something is away."""

# From one target to the next by the index: a line may be long.
_TARGETS = """line AS (
    (SELECT target FROM runs_away ORDER BY target LIMIT 1)
    UNION ALL
    SELECT (SELECT a.target FROM runs_away a WHERE a.target > line.target ORDER BY a.target LIMIT 1)
    FROM line WHERE line.target IS NOT NULL
)"""

FEW = 32
SOME_TARGETS = f"""CASE WHEN {SOME_AWAY} THEN ARRAY(
    WITH RECURSIVE {_TARGETS}
    SELECT target FROM line WHERE target IS NOT NULL LIMIT {FEW + 1}) END"""
"""The targets of all lines, FEW + 1 of them where there are more; null while there are none."""

# Who has ended, or waits for something else by now, is in nobody's way. But for the all-stop: it holds those behind as
# well, and when it is released they act in their order. Asked of each in its turn, by the key: as a join it may be
# begun from the runs, which are many.
_IS_THERE = (
    "(r.state IN ('queued', 'running') OR (r.state = 'waiting' AND r.waiting_for IN ('network', 'all_stop')))"
)
_STANDS = f"(SELECT {_IS_THERE} FROM runs_run r WHERE r.id = a.run_id)"

IS_BEHIND = f"""
SELECT EXISTS (
    SELECT FROM runs_away a WHERE a.target = %(target)s AND a.run_id < %(run_id)s AND {_STANDS})
"""
PLACE = "SELECT target FROM runs_away WHERE run_id = %(run_id)s"

JOIN = """
INSERT INTO runs_away (run_id, target, behind) VALUES (%(run_id)s, %(target)s, %(behind)s)
ON CONFLICT (run_id) DO UPDATE SET target = excluded.target, behind = excluded.behind
"""
LEAVE = "DELETE FROM runs_away WHERE run_id = %(run_id)s"

_WAKE = """
UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL, version = version + 1
WHERE state = 'waiting' AND waiting_for = 'network' AND id = {which}
RETURNING id, task_id, split_id
"""

# One that is locked is being looked at by somebody: its own time to look comes.
WAKE_NEXT = _WAKE.format(
    which=f"""(
    SELECT r.id FROM runs_run r WHERE r.id = (
        SELECT a.run_id FROM runs_away a
        WHERE a.target = %(target)s AND a.run_id <> %(run_id)s AND {_STANDS}
        ORDER BY a.run_id LIMIT 1)
    FOR UPDATE SKIP LOCKED)"""
)

# Who is first was behind somebody, and is not any more.
WAKE_FIRSTS = f"""
WITH RECURSIVE {_TARGETS},
first AS MATERIALIZED (
    SELECT one.* FROM line, LATERAL (
        SELECT a.run_id, a.behind FROM runs_away a WHERE a.target = line.target AND {_STANDS}
        ORDER BY a.run_id LIMIT 1) AS one
)
""" + _WAKE.format(
    which="""ANY(ARRAY(
    SELECT r.id FROM runs_run r WHERE r.id = ANY(ARRAY(SELECT run_id FROM first WHERE behind))
    FOR UPDATE SKIP LOCKED))"""
)

# A worker takes what is more urgent first. The first of a line is as urgent as the most urgent one behind it, or that
# one would wait for all that is more urgent than the first. Read only where it waits for a worker just now.
MORE_URGENT_BEHIND = f"""
WITH RECURSIVE {_TARGETS},
first AS MATERIALIZED (
    SELECT one.* FROM line, LATERAL (
        SELECT a.run_id, a.target, (
            SELECT CASE WHEN r.state = 'queued' THEN r.priority END
            FROM runs_run r WHERE r.id = a.run_id) AS priority
        FROM runs_away a WHERE a.target = line.target AND {_STANDS}
        ORDER BY a.run_id LIMIT 1) AS one
    WHERE one.priority IS NOT NULL
), behind AS MATERIALIZED (
    SELECT first.run_id, first.priority, (
        SELECT max((SELECT CASE WHEN {_IS_THERE} THEN r.priority END FROM runs_run r WHERE r.id = a.run_id))
        FROM runs_away a WHERE a.target = first.target) AS highest
    FROM first
)
SELECT run_id, highest FROM behind WHERE highest > priority
"""
LIFT = """
UPDATE runs_run SET priority = %(priority)s
WHERE id = %(run_id)s AND state = 'queued' AND priority < %(priority)s
"""

# At the heads of the lines: who has ended further back is passed over, and forgotten when the line has come to it.
_ENDED = ", ".join(f"'{state.value}'" for state in sorted(FINAL))
FORGET_ENDED = f"""
WITH RECURSIVE {_TARGETS}
DELETE FROM runs_away WHERE run_id = ANY(ARRAY(
    SELECT head.run_id FROM line, LATERAL (
        SELECT a.run_id FROM runs_away a WHERE a.target = line.target ORDER BY a.run_id LIMIT %(limit)s) AS head
    WHERE coalesce((SELECT r.state IN ({_ENDED}) FROM runs_run r WHERE r.id = head.run_id), true)))
"""
