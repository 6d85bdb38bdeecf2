"""Named SQL of shards that a resumed run takes over from the run that it goes on from.

A shard that succeeded becomes a row of the new run, ended and counted; one that did not waits for its turn there. The
rows are copied, so that the old run's day can go: but until all are, the new split only names the old one.
"""

from appliance.runs.shards.sql import COLUMNS

CREATE = """
ALTER TABLE runs_split ADD COLUMN taken_from uuid, ADD COLUMN taken integer NOT NULL DEFAULT 0,
    ADD COLUMN ahead integer NOT NULL DEFAULT 0
"""
DROP = "ALTER TABLE runs_split DROP COLUMN taken_from, DROP COLUMN taken, DROP COLUMN ahead"

# The split of a step, and behind it those that it was to take its shards from and has not: the last is the one
# that has them. Before all shards of a split are rows none had its turn.
KEPT = """
WITH RECURSIVE kept AS (
    (SELECT s.*, 0 AS depth FROM runs_split s WHERE s.run_id = %(run_id)s AND s.step = %(step)s
        ORDER BY s.attempt DESC LIMIT 1)
    UNION ALL
    SELECT s.*, k.depth + 1 FROM kept k JOIN runs_split s ON s.id = (k.source ->> 'of')::uuid
    WHERE k.source ->> 'kind' = 'shards' AND k.expanded < (k.source ->> 'count')::int
)
SELECT k.id, k.run_id, k.step, k.total, k.succeeded, k.closed_at IS NULL AS open,
    k.source ->> 'kind' = 'shards' AND k.expanded < (k.source ->> 'count')::int AS gone,
    k.succeeded > 0 OR k.failed > 0 OR EXISTS (SELECT 1 FROM runs_run r WHERE r.split_id = k.id
        AND (r.started_at IS NOT NULL OR r.forked_at_step <> '')) AS begun
FROM kept k ORDER BY k.depth DESC LIMIT 1
"""

PROMISED = "SELECT DISTINCT step FROM runs_split WHERE run_id = %(run_id)s AND taken_from IS NOT NULL"

# What shards that did not succeed would do a second time: of their finished steps nothing, for those are shared. Also
# of the splits inside of them, and whether anything is still under way.
UNDONE_INSIDE = """
WITH RECURSIVE inside AS (
    SELECT s.id, s.closed_at FROM runs_split s WHERE s.id = %(id)s
    UNION ALL
    SELECT n.id, n.closed_at FROM inside i
    JOIN runs_run r ON r.split_id = i.id AND r.state <> 'succeeded' AND r.started_at IS NOT NULL
    JOIN runs_split n ON n.run_id = r.id
)
SELECT (SELECT bool_or(i.closed_at IS NULL) FROM inside i), ARRAY(
    SELECT DISTINCT s.step FROM inside i
    JOIN runs_run r ON r.split_id = i.id AND r.state <> 'succeeded' AND r.started_at IS NOT NULL
    JOIN runs_step s ON s.run_id = r.id
    WHERE s.effect NOT IN ('pure', 'idempotent') AND (s.state IN ('intent', 'ambiguous')
        OR (s.state = 'failed' AND s.error = 'ended with its run')) ORDER BY 1)
"""

# Written when the person asks, in one transaction with the run: what was kept is used, or the step fails.
PROMISE = """
INSERT INTO runs_split (id, run_id, step, attempt, join_policy, join_number, parallelism, context, source, taken_from)
SELECT %(id)s, %(run_id)s, s.step, 1, s.join_policy, s.join_number, s.parallelism, s.context,
    jsonb_build_object('kind', 'shards', 'of', s.id, 'count', s.total, 'names', s.source -> 'names'), s.run_id
FROM runs_split s WHERE s.id = %(of)s
"""

BEGIN = f"""
UPDATE runs_split SET shard_deadline = %(shard_deadline)s, due_at = %(due_at)s WHERE id = %(id)s RETURNING {COLUMNS}
"""

# The context travels with the shard; what the run itself has of its own (other `vars` than the old one) goes over it.
# What led to the old run is not what led to this one: see growing.begun_by_hand.
TAKE = """
INSERT INTO runs_run (id, task_id, version_id, parent_run_id, split_id, shard, counted, lane, state, waiting_for,
    principal, origin, trigger, priority, inputs, deadline, reason, warning, forked_from, created_at, started_at,
    finished_at)
SELECT pair.new, p.task_id, p.version_id, p.id, %(split_id)s, o.shard, done.it, p.lane,
    CASE WHEN done.it THEN 'succeeded' ELSE 'waiting' END, CASE WHEN done.it THEN '' ELSE 'turn' END,
    p.principal, p.origin, p.trigger, p.priority,
    CASE WHEN done.it THEN o.inputs ELSE (o.inputs - 'above') || %(inputs)s END,
    CASE WHEN done.it THEN o.deadline ELSE %(deadline)s END, left(%(reason)s || CASE WHEN done.it THEN
        ', taken over from run ' || o.parent_run_id ELSE '' END, 1000), CASE WHEN done.it THEN o.warning ELSE '' END,
    o.id, p.created_at, CASE WHEN done.it THEN o.started_at END, CASE WHEN done.it THEN o.finished_at END
FROM runs_run p, unnest(%(old)s::uuid[], %(new)s::uuid[]) AS pair(old, new) JOIN runs_run o ON o.id = pair.old,
    LATERAL (SELECT o.state = 'succeeded' AS it) done
WHERE p.id = %(run_id)s
RETURNING shard, counted, coalesce(inputs -> 'shard' ->> 'branch', ''), inputs -> 'asked'
"""

LAST_ATTEMPTS = """
SELECT run_id, step, max(attempt) FROM runs_step WHERE run_id = ANY(%(ids)s) AND phase = 'actions' GROUP BY 1, 2
"""

# Without what a step gave, where only is asked at which of its steps a shard stands: not so of one whose steps grow.
ROWS = """
SELECT run_id, step, attempt, position, phase, effect, state, error, due_at, shared_from,
    CASE WHEN run_id = ANY(%(grown)s) THEN output END AS output
FROM runs_step WHERE run_id = ANY(%(ids)s) ORDER BY run_id, position, attempt
"""

GOES_ON = """
UPDATE runs_run SET forked_at_step = at.step FROM unnest(%(new)s::uuid[], %(steps)s::text[]) AS at(id, step)
WHERE runs_run.id = at.id
"""

CHECKPOINT_BYTES = """
SELECT run_id, sum(size) FROM runs_checkpoint WHERE run_id = ANY(%(ids)s) GROUP BY 1
"""

CHECKPOINTS = """
INSERT INTO runs_checkpoint (run_id, step, digest, number, attempt, form, size, content, created_at)
SELECT DISTINCT ON (c.run_id) at.new, c.step, c.digest, 1, 1, c.form, c.size, c.content, c.created_at
FROM runs_checkpoint c JOIN unnest(%(old)s::uuid[], %(new)s::uuid[], %(steps)s::text[]) AS at(old, new, step)
    ON c.run_id = at.old AND c.step = at.step
WHERE c.run_id = ANY(%(old)s) ORDER BY c.run_id, c.number DESC
"""

# Whoever closes it holds the run's lock, as whoever takes shards does.
STILL_WANTED = "SELECT id FROM runs_split WHERE id = %(id)s AND total IS NULL AND outcome = ''"
TAKEN = """
UPDATE runs_split SET expanded = %(expanded)s, taken = taken + %(done)s, succeeded = succeeded + %(done)s,
    ahead = ahead + %(done)s
WHERE id = %(id)s
"""
