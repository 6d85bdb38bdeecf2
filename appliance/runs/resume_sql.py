"""Named SQL of what a person asks of a run that has ended: to go on from a step, or to be taken back."""

CREATE = """
ALTER TABLE runs_run ADD COLUMN undo_requested boolean NOT NULL DEFAULT false;
ALTER TABLE runs_step ADD COLUMN shared_from uuid;
CREATE INDEX runs_run_forked ON runs_run (forked_from) WHERE forked_from IS NOT NULL;
CREATE INDEX runs_step_shared ON runs_step (shared_from) WHERE shared_from IS NOT NULL;
CREATE TABLE runs_checkpoint (
    run_id uuid NOT NULL,
    step varchar(100) NOT NULL,
    digest varchar(64) NOT NULL,
    number integer NOT NULL,
    attempt smallint NOT NULL,
    form varchar(4) NOT NULL,
    size integer NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, step, digest)
) PARTITION BY RANGE (run_id);
"""

DROP = """
DROP TABLE runs_checkpoint;
DROP INDEX runs_step_shared;
DROP INDEX runs_run_forked;
ALTER TABLE runs_step DROP COLUMN shared_from;
ALTER TABLE runs_run DROP COLUMN undo_requested;
"""

# The finished part of a run becomes part of the one that goes on from it. The first run that performed a step
# keeps its name beside it: receipts of its messages come to that one, and it alone may undo it.
SHARE_STEPS = """
INSERT INTO runs_step (run_id, step, attempt, position, phase, kind, effect, state, epoch, input, output,
    detail, stderr, error, shared_from, started_at, finished_at)
SELECT kept.new, s.step, s.attempt, s.position, s.phase, s.kind, s.effect, s.state, 0, s.input, s.output,
    s.detail, s.stderr, s.error, coalesce(s.shared_from, s.run_id), s.started_at, s.finished_at
FROM runs_step s JOIN unnest(%(old)s::uuid[], %(new)s::uuid[], %(steps)s::text[], %(attempts)s::int[])
    AS kept(old, new, step, attempt)
    ON s.run_id = kept.old AND s.step = kept.step AND s.attempt = kept.attempt
WHERE s.run_id = ANY(%(old)s)
"""

SHARE_CHECKPOINT = """
INSERT INTO runs_checkpoint (run_id, step, digest, number, attempt, form, size, content, created_at)
SELECT %(new)s, step, digest, 1, 1, form, size, content, created_at
FROM runs_checkpoint WHERE run_id = %(old)s AND number = %(number)s
"""

UNDO_BY = "ALTER TABLE runs_run ADD COLUMN undo_by text NOT NULL DEFAULT ''"
WITHOUT_UNDO_BY = "ALTER TABLE runs_run DROP COLUMN undo_by"

# A run that is undone goes on from where it ended. Asked a second time, the undo steps that failed are tried
# again, as a retry that is due.
REQUEST_UNDO = """
UPDATE runs_run SET state = 'queued', waiting_for = '', reason = %(reason)s, undo_requested = true, undo_by = %(by)s,
    cancel_requested = false, recoveries = 0, wake_at = NULL, finished_at = NULL, version = version + 1
WHERE id = %(id)s AND (state IN ('succeeded', 'failed', 'cancelled', 'poisoned')
    OR (state = 'waiting' AND waiting_for = 'ambiguous'))
RETURNING id
"""
# Of a shard whose steps grow, some of them: more may be asked for when those are taken back.
REQUEST_UNDO_OF = """
UPDATE runs_run SET state = 'queued', waiting_for = '', reason = %(reason)s, undo_requested = true, undo_by = %(by)s,
    cancel_requested = false, recoveries = 0, wake_at = NULL, finished_at = NULL, version = version + 1,
    inputs = jsonb_set(inputs, '{taken_back}', %(steps)s::jsonb)
WHERE id = %(id)s AND (state IN ('succeeded', 'failed', 'cancelled', 'poisoned', 'undone')
    OR (state = 'waiting' AND waiting_for = 'ambiguous'))
RETURNING id
"""
UNDO_AGAIN = """
UPDATE runs_step SET due_at = now() WHERE run_id = %(id)s AND phase = 'undo' AND state = 'failed'
"""

SHARING = """
SELECT run_id FROM runs_step
WHERE shared_from = %(run_id)s AND step = %(step)s AND run_id > %(run_id)s AND state = 'handed_over'
"""

# A stale worker keeps nothing (P4). Equal contents are one row, which becomes the newest.
SAVE_CHECKPOINT = """
WITH held AS (
    SELECT id FROM runs_run
    WHERE id = %(run_id)s AND epoch = %(epoch)s AND lease_owner = %(owner)s AND state = 'running'
    FOR NO KEY UPDATE)
INSERT INTO runs_checkpoint (run_id, step, digest, number, attempt, form, size, content)
SELECT held.id, %(step)s, %(digest)s,
    (SELECT coalesce(max(number), 0) + 1 FROM runs_checkpoint WHERE run_id = %(run_id)s),
    %(attempt)s, %(form)s, %(size)s, %(content)s FROM held
ON CONFLICT (run_id, step, digest) DO UPDATE SET
    number = excluded.number, attempt = excluded.attempt, created_at = now()
RETURNING number
"""

PRUNE_CHECKPOINTS = """
DELETE FROM runs_checkpoint WHERE run_id = %(run_id)s AND step = %(step)s AND number IN (
    SELECT number FROM runs_checkpoint WHERE run_id = %(run_id)s AND step = %(step)s
    ORDER BY number DESC OFFSET %(keep)s)
"""

STATE_OF_STEP = """
UPDATE runs_step SET checkpoint = %(state)s
WHERE run_id = %(run_id)s AND step = %(step)s AND attempt = %(attempt)s AND epoch = %(epoch)s
    AND state = 'intent'
"""

CHECKPOINTED = "SELECT DISTINCT step FROM runs_checkpoint WHERE run_id = %(run_id)s"

LAST_CHECKPOINT = """
SELECT form, content FROM runs_checkpoint WHERE run_id = %(run_id)s AND step = %(step)s
ORDER BY number DESC LIMIT 1
"""
