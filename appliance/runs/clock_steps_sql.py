"""Named SQL of clock steps. ``step`` is what was added to the clock; ``since`` is when the reading of this boot began.

A timer is moved where it was started between the two by the clock as it was: one from before the boot, or from a time
at which the clock was wrong altogether, is left to the wall clock.
"""

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

# Steps first: whether a run's own pause is moved follows from its step.
_WAITS = f"""
UPDATE runs_step s
SET checkpoint = s.checkpoint || jsonb_build_object('due', (s.checkpoint ->> 'due')::timestamptz + %(step)s)
FROM runs_run r
WHERE r.state = 'waiting' AND r.waiting_for = 'timer' AND s.run_id = r.id AND s.state = 'waiting'
    AND s.checkpoint ? 'due' AND s.started_at {_OF_BEFORE}
"""
_WAITING = f"""
UPDATE runs_run r SET wake_at = r.wake_at + %(step)s
WHERE r.state = 'waiting' AND r.waiting_for IN ('timer', 'retry', 'approval') AND EXISTS (
    SELECT FROM runs_step s WHERE s.run_id = r.id AND (
        (s.state = 'waiting' AND s.started_at {_OF_BEFORE})
        OR (s.state = 'failed' AND s.due_at IS NOT NULL AND s.finished_at {_OF_BEFORE})))
"""
_RETRIES = f"""
UPDATE runs_step s SET due_at = s.due_at + %(step)s FROM runs_run r
WHERE r.state = 'waiting' AND r.waiting_for = 'retry' AND s.run_id = r.id AND s.state = 'failed'
    AND s.due_at IS NOT NULL AND s.finished_at {_OF_BEFORE}
"""
_LIMITS = f"""
UPDATE runs_run SET deadline = deadline + %(step)s
WHERE state IN ('queued', 'waiting') AND deadline IS NOT NULL AND coalesce(started_at, created_at) {_OF_BEFORE}
"""
_APPROVALS = f"""
UPDATE safety_approval SET created_at = created_at + %(step)s, expires_at = expires_at + %(step)s
WHERE state = 'open' AND created_at {_OF_BEFORE}
"""
_HOLDS = f"""
UPDATE tasks_hold SET since = since + %(step)s, due_at = due_at + %(step)s, touched_at = touched_at + %(step)s
WHERE NOT fired AND since {_OF_BEFORE}
"""

MOVE = {
    "waits": _WAITS,
    "pauses": _WAITING,
    "retries": _RETRIES,
    "time_limits": _LIMITS,
    "approvals": _APPROVALS,
    "holds": _HOLDS,
}
