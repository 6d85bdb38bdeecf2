"""Named SQL of holds: triggers that look on (``for``) or wait for quiet (``debounce``) before they fire.

Every time in these rows is the database's wall clock, read when the statement runs.
"""

BEGIN_OR_GO_ON = """
WITH given AS (
    SELECT n.*, h.id IS NOT NULL AS known,
        count(*) FILTER (WHERE h.id IS NULL) OVER (PARTITION BY n.task_id, n.trigger ORDER BY n.key) AS fresh
    FROM unnest(%(tasks)s::bigint[], %(triggers)s::text[], %(keys)s::text[], %(debounces)s::boolean[],
        %(lengths)s::interval[], %(events)s::bigint[], %(inputs)s::jsonb[], %(reasons)s::text[])
        AS n(task_id, trigger, key, debounce, length, events, inputs, reason)
    LEFT JOIN tasks_hold h ON (h.task_id, h.trigger, h.key) = (n.task_id, n.trigger, n.key))
INSERT INTO tasks_hold AS h (task_id, trigger, key, debounce, since, due_at, length, events, inputs, reason, fired,
    touched_at)
SELECT n.task_id, n.trigger, n.key, n.debounce, clock_timestamp(), clock_timestamp() + n.length, n.length, n.events,
    n.inputs, n.reason, false, clock_timestamp()
FROM given n WHERE n.known OR n.fresh + (
    SELECT count(*) FROM tasks_hold c WHERE c.task_id = n.task_id AND c.trigger = n.trigger) <= %(most)s
ORDER BY n.task_id, n.trigger, n.key
ON CONFLICT (task_id, trigger, key) DO UPDATE SET
    inputs = excluded.inputs, reason = excluded.reason, events = h.events + excluded.events,
    touched_at = excluded.touched_at,
    since = CASE WHEN h.debounce THEN excluded.since ELSE h.since END,
    due_at = CASE WHEN h.debounce THEN excluded.due_at ELSE h.due_at END
RETURNING h.task_id, h.trigger, h.key, h.since, h.due_at, h.events
"""

END = """
DELETE FROM tasks_hold h
USING unnest(%(tasks)s::bigint[], %(triggers)s::text[], %(keys)s::text[]) AS n(task_id, trigger, key)
WHERE (h.task_id, h.trigger, h.key) = (n.task_id, n.trigger, n.key)
RETURNING h.task_id, h.trigger, h.key, h.fired, clock_timestamp() - h.since
"""

# What the two statements below would find: asked ten times a second, without a transaction.
ANY_DUE = """
SELECT EXISTS (SELECT 1 FROM tasks_hold WHERE NOT fired
    AND (due_at <= clock_timestamp() OR since > clock_timestamp() + interval '1 second'))
"""

# A clock that was set back: what began in the future begins now, so that it lasts one more length at most.
BEGIN_AGAIN = """
UPDATE tasks_hold SET since = clock_timestamp(), due_at = clock_timestamp() + length
WHERE NOT fired AND since > clock_timestamp() + interval '1 second'
"""

DUE = """
SELECT id, task_id, trigger, inputs, reason, since, events, debounce FROM tasks_hold
WHERE NOT fired AND due_at <= clock_timestamp() ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""

FIRED = "UPDATE tasks_hold SET fired = true WHERE id = ANY(%(ids)s) AND NOT debounce"
QUIET = "DELETE FROM tasks_hold WHERE id = ANY(%(ids)s) AND debounce"

# A topic that fell silent after it had fired keeps its row for a week; one whose trigger is gone keeps none.
FORGET = """
DELETE FROM tasks_hold h WHERE (fired AND touched_at < clock_timestamp() - interval '7 days')
OR NOT EXISTS (
    SELECT 1 FROM tasks_tasktrigger t WHERE t.task_id = h.task_id AND t.trigger = h.trigger AND t.active)
"""
