"""Named SQL of admission: the limit of a task, and the line of runs under each key of its ``overlap``."""

from appliance.runs.domain import FINAL

_ENDED = ", ".join(f"'{state.value}'" for state in sorted(FINAL))

CREATE = """
CREATE TABLE runs_turn (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id uuid NOT NULL UNIQUE,
    task_id bigint NOT NULL,
    key varchar(200) NOT NULL,
    holding boolean NOT NULL,
    since timestamptz NOT NULL
);
CREATE UNIQUE INDEX runs_turn_holder ON runs_turn (task_id, key) WHERE holding;
CREATE INDEX runs_turn_line ON runs_turn (task_id, key, id);
CREATE TABLE runs_rate (
    task_id bigint PRIMARY KEY,
    recent timestamptz[] NOT NULL DEFAULT '{}',
    suppressed bigint NOT NULL DEFAULT 0,
    suppressed_at timestamptz
);
"""
DROP = "DROP TABLE runs_turn; DROP TABLE runs_rate"

# One lock per task, until the commit. Whoever takes several takes them in the order of the tasks.
LOCK_TASK = "SELECT pg_advisory_xact_lock(hashtextextended('millwright.admission', %(task_id)s))"

# clock_timestamp and not now: a transaction that waited for the lock began before the one that held it wrote.
# A clock that was set back must not block the task until it has caught up: what lies ahead does not count.
RATE = """
SELECT count(*) FROM runs_rate, unnest(recent) AS at
WHERE task_id = %(task_id)s AND at > clock_timestamp() - %(per)s AND at <= clock_timestamp()
"""

TAKE_RATE = """
INSERT INTO runs_rate AS r (task_id, recent, suppressed, suppressed_at)
VALUES (%(task_id)s, array_fill(clock_timestamp(), ARRAY[%(taken)s::int]), %(suppressed)s,
    CASE WHEN %(suppressed)s > 0 THEN clock_timestamp() END)
ON CONFLICT (task_id) DO UPDATE SET
    recent = ARRAY(
        SELECT at FROM unnest(r.recent) AS at
        WHERE at > clock_timestamp() - %(per)s AND at <= clock_timestamp()) || excluded.recent,
    suppressed = r.suppressed + excluded.suppressed,
    suppressed_at = coalesce(excluded.suppressed_at, r.suppressed_at)
"""

# A run that has ended, or that is no longer kept, stands in nobody's way: whatever ended it need not know this table.
LEAVE_LINE = f"""
DELETE FROM runs_turn t WHERE t.task_id = %(task_id)s AND t.key = ANY(%(keys)s) AND NOT EXISTS (
    SELECT 1 FROM runs_run r WHERE r.id = t.run_id AND r.state NOT IN ({_ENDED}))
"""

LINE = """
SELECT key, run_id, holding FROM runs_turn WHERE task_id = %(task_id)s AND key = ANY(%(keys)s) ORDER BY id
"""

# The place in the line is the identity column: it is given under the task's lock, in the order of arrival.
JOIN_LINE = """
INSERT INTO runs_turn (run_id, task_id, key, holding, since)
VALUES (%(run_id)s, %(task_id)s, %(key)s, %(holding)s, clock_timestamp())
"""

STAND_BACK = "DELETE FROM runs_turn WHERE run_id = %(run_id)s"

HOLD_BACK = """
UPDATE runs_run SET state = 'waiting', waiting_for = 'turn' WHERE id = %(id)s AND state = 'queued'
"""

# Lines in which somebody has ended, or whose first one does not know that it is the first.
MOVING_LINES = f"""
SELECT t.task_id, t.key FROM runs_turn t LEFT JOIN runs_run r ON r.id = t.run_id
WHERE r.id IS NULL OR r.state IN ({_ENDED})
UNION
SELECT t.task_id, t.key FROM runs_turn t WHERE NOT EXISTS (
    SELECT 1 FROM runs_turn h WHERE h.task_id = t.task_id AND h.key = t.key AND h.holding)
ORDER BY 1, 2 LIMIT %(limit)s
"""

NEXT_IN_LINE = """
UPDATE runs_turn SET holding = true WHERE id = (
    SELECT id FROM runs_turn WHERE task_id = %(task_id)s AND key = %(key)s ORDER BY id LIMIT 1)
AND NOT EXISTS (SELECT 1 FROM runs_turn WHERE task_id = %(task_id)s AND key = %(key)s AND holding)
RETURNING run_id
"""

# A shard waits for its turn in its split, not in a line.
STRANDED = """
UPDATE runs_run r SET state = 'queued', waiting_for = '', version = version + 1
WHERE r.state = 'waiting' AND r.waiting_for = 'turn' AND r.split_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM runs_turn t WHERE t.run_id = r.id)
RETURNING r.id, r.task_id
"""
