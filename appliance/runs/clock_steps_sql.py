"""Named SQL of clock steps. ``step`` is what was added to the clock; ``since`` is when the reading of this boot began.

A timer is moved where it was started between the two by the clock as it was: one from before the boot, or from a time
at which the clock was wrong altogether, is left to the wall clock. When it was started moves along with it, else the
next step would no longer find it.
"""

# Two reactors (one is taking over from the other) look one after the other.
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('millwright clock steps'))"

READ = """
SELECT clock_timestamp(), r.boot, r.distance, r.since
FROM (SELECT) AS one LEFT JOIN runs_clockreading r ON r.id = 1
"""

BEGIN = """
INSERT INTO runs_clockreading (id, boot, distance, since) VALUES (1, %(boot)s, %(distance)s, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET boot = excluded.boot, distance = excluded.distance, since = excluded.since
"""

KEEP = "UPDATE runs_clockreading SET distance = %(distance)s, since = since + %(step)s WHERE id = 1"

_OF_BEFORE = "BETWEEN %(since)s AND clock_timestamp() - %(step)s + interval '1 second'"

# Many rows may be to be moved, and nothing is due until they are.
NO_LIMITS = """
SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout')
"""

# Whoever changes a run locks it before its steps, and many of them in this order.
LOCK = """
SELECT count(*) FROM (
    SELECT FROM runs_run WHERE state IN ('queued', 'running', 'waiting')
        AND (deadline IS NOT NULL OR wake_at IS NOT NULL)
    ORDER BY id FOR UPDATE) AS locked
"""

_PAUSES = f"""
UPDATE runs_run r SET wake_at = r.wake_at + %(step)s
WHERE r.state = 'waiting' AND r.waiting_for IN ('timer', 'retry', 'approval', 'shards') AND EXISTS (
    SELECT FROM runs_step s WHERE s.run_id = r.id AND (
        (s.state = 'waiting' AND s.started_at {_OF_BEFORE})
        OR (s.state = 'failed' AND s.due_at IS NOT NULL AND s.finished_at {_OF_BEFORE})))
"""
_WAITS = f"""
UPDATE runs_step s SET started_at = s.started_at + %(step)s, checkpoint = CASE WHEN s.checkpoint ? 'due'
    THEN s.checkpoint || jsonb_build_object('due', (s.checkpoint ->> 'due')::timestamptz + %(step)s)
    ELSE s.checkpoint END
FROM runs_run r
WHERE r.state = 'waiting' AND r.waiting_for NOT IN ('retry', 'ambiguous', 'delivery', 'turn') AND s.run_id = r.id
    AND s.state = 'waiting' AND s.started_at {_OF_BEFORE}
"""
_RETRIES = f"""
UPDATE runs_step s SET due_at = s.due_at + %(step)s, finished_at = s.finished_at + %(step)s FROM runs_run r
WHERE r.state = 'waiting' AND r.waiting_for = 'retry' AND s.run_id = r.id AND s.state = 'failed'
    AND s.due_at IS NOT NULL AND s.finished_at {_OF_BEFORE}
"""
# A run that is being performed has its limit in its worker's memory; the row's is that of its next life.
_LIMITS = f"""
UPDATE runs_run SET deadline = deadline + %(step)s, started_at = started_at + %(step)s,
    created_at = CASE WHEN started_at IS NULL THEN created_at + %(step)s ELSE created_at END
WHERE state IN ('queued', 'running', 'waiting') AND deadline IS NOT NULL
    AND coalesce(started_at, created_at) {_OF_BEFORE}
"""
_SPLITS = f"""
UPDATE runs_split SET due_at = due_at + %(step)s, shard_deadline = shard_deadline + %(step)s,
    created_at = created_at + %(step)s
WHERE closed_at IS NULL AND (due_at IS NOT NULL OR shard_deadline IS NOT NULL) AND created_at {_OF_BEFORE}
"""
_APPROVALS = f"""
UPDATE safety_approval SET created_at = created_at + %(step)s, expires_at = expires_at + %(step)s
WHERE state = 'open' AND created_at {_OF_BEFORE}
"""
_HOLDS = f"""
UPDATE tasks_hold SET since = since + %(step)s, due_at = due_at + %(step)s, touched_at = touched_at + %(step)s
WHERE NOT fired AND since {_OF_BEFORE}
"""
# What is held is asked again: whether there is a better time than now depends on the clock as it is.
_MESSAGES = f"""
UPDATE outbox_item SET expires_at = expires_at + %(step)s, state = 'pending',
    next_at = CASE WHEN state = 'pending' THEN next_at + %(step)s END, created_at = created_at + %(step)s
WHERE state IN ('pending', 'held') AND created_at {_OF_BEFORE}
"""

MOVE = {
    "pauses": _PAUSES,
    "waits": _WAITS,
    "retries": _RETRIES,
    "time_limits": _LIMITS,
    "splits": _SPLITS,
    "approvals": _APPROVALS,
    "holds": _HOLDS,
    "messages": _MESSAGES,
}
