"""Named SQL of the ledger. Every write to a run is conditional on its epoch (P4) or its state."""

from appliance.runs.away_sql import SOME_AWAY

CREATE = """
CREATE TABLE runs_run (
    id uuid PRIMARY KEY,
    task_id bigint NOT NULL,
    version_id bigint NOT NULL,
    occurrence_id uuid,
    parent_run_id uuid,
    forked_from uuid,
    forked_at_step varchar(100) NOT NULL DEFAULT '',
    lane varchar(8) NOT NULL DEFAULT 'worker',
    state varchar(10) NOT NULL,
    waiting_for varchar(12) NOT NULL DEFAULT '',
    reason varchar(1000) NOT NULL DEFAULT '',
    warning varchar(1000) NOT NULL DEFAULT '',
    principal varchar(150) NOT NULL,
    origin varchar(16) NOT NULL,
    trigger varchar(64) NOT NULL DEFAULT '',
    priority smallint NOT NULL DEFAULT 0,
    inputs jsonb NOT NULL DEFAULT '{}',
    wake_at timestamptz,
    deadline timestamptz,
    cancel_requested boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 0,
    epoch integer NOT NULL DEFAULT 0,
    lease_owner varchar(100) NOT NULL DEFAULT '',
    lease_until timestamptz,
    recoveries smallint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX runs_run_queued ON runs_run (priority DESC, id) WHERE state = 'queued';
CREATE INDEX runs_run_leased ON runs_run (lease_until) WHERE state = 'running';
CREATE INDEX runs_run_waiting ON runs_run (wake_at) WHERE state = 'waiting';
CREATE INDEX runs_run_task ON runs_run (task_id, id DESC);
CREATE INDEX runs_run_state ON runs_run (state, id DESC);
CREATE TABLE runs_step (
    run_id uuid NOT NULL,
    step varchar(100) NOT NULL,
    attempt smallint NOT NULL,
    position smallint NOT NULL,
    phase varchar(10) NOT NULL DEFAULT 'actions',
    kind varchar(20) NOT NULL,
    effect varchar(12) NOT NULL,
    state varchar(12) NOT NULL,
    epoch integer NOT NULL,
    input jsonb,
    output jsonb,
    detail jsonb,
    stderr text NOT NULL DEFAULT '',
    error varchar(2000) NOT NULL DEFAULT '',
    checkpoint jsonb,
    shard integer,
    due_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (run_id, step, attempt)
) PARTITION BY RANGE (run_id);
"""

DROP = "DROP TABLE runs_step; DROP TABLE runs_run"

# `trigger:TASK/TRIGGER` and `user:NAME` are longer than what they are made of. No row is written anew for it.
PRINCIPAL_OF_ANY_LENGTH = "ALTER TABLE runs_run ALTER COLUMN principal TYPE text"

RUN_COLUMNS = """id, task_id, version_id, state, waiting_for, reason, warning, principal, origin, trigger,
    priority, inputs, wake_at, deadline, cancel_requested, undo_requested, undo_by, version, epoch, recoveries,
    parent_run_id, forked_at_step, created_at, started_at, split_id"""

INSERT_RUN = """
INSERT INTO runs_run (id, task_id, version_id, occurrence_id, parent_run_id, forked_from, forked_at_step,
    state, principal, origin, trigger, priority, inputs, deadline, reason)
VALUES (%(id)s, %(task_id)s, %(version_id)s, %(occurrence_id)s, %(parent_run_id)s, %(forked_from)s,
    %(forked_at_step)s, 'queued', %(principal)s, %(origin)s, %(trigger)s, %(priority)s, %(inputs)s,
    %(deadline)s, %(reason)s)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

# With the all-stop as it stands: what the first step is decided on. A claim does not wait for the disk: whatever is
# done on the strength of it is preceded by a commit of the same run that does, and that takes this one along. Where
# PostgreSQL loses it before, the run is queued again, under the same epoch; so every write names its owner too (P4).
_CLAIM = f"""
    UPDATE runs_run
    SET state = 'running', waiting_for = '', wake_at = NULL, epoch = epoch + 1, version = version + 1,
        lease_owner = %(owner)s, lease_until = now() + %(lease)s, started_at = coalesce(started_at, now())
    WHERE {{which}} AND state = 'queued'
    RETURNING {RUN_COLUMNS}
)
SELECT claimed.*, s.epoch AS stop_epoch, s.level AS stop_level, s.since AS stop_since, s.by AS stop_by,
    s.reason AS stop_reason, {SOME_AWAY} AS some_away, set_config('synchronous_commit', 'off', true)
FROM claimed LEFT JOIN safety_allstop s ON s.id = 1
"""
CLAIM = f"WITH claimed AS ({_CLAIM.format(which='id = %(id)s')}"

# One that is locked is being claimed by another worker, or about to change: the sweep finds it if it is left.
CLAIM_MANY = f"""
WITH queued AS MATERIALIZED (
    SELECT id FROM runs_run WHERE id = ANY(%(ids)s) AND state = 'queued' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
),
claimed AS ({_CLAIM.format(which="id = ANY(ARRAY(SELECT id FROM queued))")}
"""

RENEW = """
UPDATE runs_run r SET lease_until = now() + %(lease)s
FROM unnest(%(ids)s::uuid[], %(epochs)s::int[]) AS mine(id, epoch)
WHERE r.id = mine.id AND r.epoch = mine.epoch AND r.state = 'running' AND r.lease_owner = %(owner)s
RETURNING r.id, r.cancel_requested
"""

# The lease still holds the run (P4): the epoch and the owner, and the row that an intent left which did not wait for
# the disk. Where PostgreSQL has lost that, it may have lost more.
HOLDS = """epoch = %(epoch)s AND lease_owner = %(owner)s AND state = 'running'
    AND (%(proof)s::text IS NULL OR EXISTS (SELECT FROM runs_step known WHERE known.run_id = %(run_id)s
        AND known.step = %(proof)s AND known.attempt = %(proof_attempt)s AND known.epoch = %(epoch)s))"""

HELD = f"SELECT id FROM runs_run WHERE id = %(run_id)s AND {HOLDS} FOR NO KEY UPDATE"

# A stale worker's step is refused here: the row goes in only while its epoch still holds the run. The run is
# locked until the commit: else a recovery and a new claim could come between this look and the commit, and the
# new owner would not see what the old one is about to have done.
WRITE_STEP = f"""
INSERT INTO runs_step (run_id, step, attempt, position, phase, kind, effect, state, epoch, input, output,
    detail, stderr, error, checkpoint, due_at, started_at, finished_at)
SELECT %(run_id)s, %(step)s, %(attempt)s, %(position)s, %(phase)s, %(kind)s, %(effect)s, %(state)s,
    %(epoch)s, %(input)s, %(output)s, %(detail)s, %(stderr)s, %(error)s, %(checkpoint)s, %(due_at)s,
    %(started_at)s, %(finished_at)s
FROM runs_run WHERE id = %(run_id)s AND {HOLDS}
FOR NO KEY UPDATE
ON CONFLICT (run_id, step, attempt) DO UPDATE SET
    state = excluded.state, epoch = excluded.epoch, input = coalesce(excluded.input, runs_step.input),
    output = excluded.output, detail = excluded.detail, stderr = excluded.stderr, error = excluded.error,
    checkpoint = excluded.checkpoint, due_at = excluded.due_at, finished_at = excluded.finished_at
RETURNING step
"""

STEPS_OF = """
SELECT step, attempt, position, phase, kind, effect, state, output, stderr, error, checkpoint, due_at,
    shared_from, started_at
FROM runs_step WHERE run_id = %(run_id)s ORDER BY position, attempt
"""

OWN_INPUTS = "SELECT inputs FROM runs_run WHERE id = %(run_id)s"
# A step that waited for people has worked since their answer. The detail of one that was done is for people, and can be
# long; an agent reads all of its steps in each turn.
OWN_STEPS = """
SELECT s.position, s.step, s.kind, s.state, s.output,
    CASE WHEN s.state IN ('failed', 'skipped') THEN s.detail END AS detail, s.error, s.stderr,
    least(s.finished_at, greatest(s.started_at, a.answered_at)) AS started_at, s.finished_at
FROM runs_step s LEFT JOIN (
    SELECT step, attempt, max(coalesce(decided_at, closed_at)) AS answered_at FROM safety_approval
    WHERE run_id = %(run_id)s GROUP BY 1, 2) AS a ON a.step = s.step AND a.attempt = s.attempt
WHERE s.run_id = %(run_id)s AND s.position >= %(since)s ORDER BY s.position, s.attempt
"""

LOCK_RUN = "SELECT state, waiting_for, cancel_requested, reason FROM runs_run WHERE id = %(id)s FOR UPDATE"
UNDELIVERED = "SELECT count(*) FROM runs_step WHERE run_id = %(id)s AND state = 'handed_over'"
REFUSED_MEANWHILE = """
SELECT count(*) FROM runs_step WHERE run_id = %(id)s AND step = ANY(%(handed_over)s) AND state = 'failed'
"""
HAD_PROGRESS = "UPDATE runs_run SET recoveries = 0 WHERE id = %(id)s AND epoch = %(epoch)s AND recoveries > 0"

RELEASE = f"""
UPDATE runs_run
SET state = %(state)s, waiting_for = %(waiting_for)s, reason = %(reason)s, warning = %(warning)s,
    wake_at = %(wake_at)s, version = version + 1, lease_owner = '', lease_until = NULL,
    recoveries = CASE WHEN %(progress)s THEN 0 ELSE recoveries END,
    finished_at = CASE WHEN %(final)s THEN now() END
WHERE id = %(run_id)s AND {HOLDS}
RETURNING parent_run_id
"""

# Recovery only queues (P10); whoever claims next gets a new epoch, which fences the old owner off (P4).
# A lease that ends later than any that is given now was given before the clock was set back.
SUSPECTS = """
SELECT id, lease_until FROM runs_run
WHERE state = 'running' AND (lease_until < now() OR lease_until > now() + 2 * %(lease)s::interval)
"""

# Of the very leases that were looked at: one that was renewed meanwhile is another one.
RECOVER = """
UPDATE runs_run
SET state = CASE WHEN recoveries >= %(limit)s THEN 'poisoned' ELSE 'queued' END,
    finished_at = CASE WHEN recoveries >= %(limit)s THEN now() END,
    reason = CASE WHEN recoveries >= %(limit)s THEN %(poison_reason)s
        WHEN cancel_requested THEN reason ELSE %(reason)s END,
    recoveries = recoveries + 1, version = version + 1, lease_owner = '', lease_until = NULL
WHERE state = 'running' AND (lease_owner = ANY(%(dead_owners)s) OR (id, lease_until) IN (
    SELECT * FROM unnest(%(ids)s::uuid[], %(untils)s::timestamptz[])))
RETURNING id, state, task_id, reason, split_id
"""

# A clock that was set back. A wait has longer to go than it was to last, a failed attempt lies in the future; the other
# pauses are short, or end at a time limit of the run.
WAKE_SET_BACK = """
UPDATE runs_run r SET wake_at = now()
WHERE r.state = 'waiting' AND r.wake_at > now() AND (
    (r.waiting_for IN ('network', 'all_stop', 'plant_state') AND r.wake_at > now() + interval '5 minutes')
    OR (r.waiting_for = 'budget' AND r.wake_at > now() + interval '32 days')
    OR (r.waiting_for IN ('timer', 'retry') AND EXISTS (
        SELECT 1 FROM runs_step s WHERE s.run_id = r.id AND (
            (s.state = 'waiting' AND s.checkpoint ? 'length' AND (s.checkpoint ->> 'due')::timestamptz
                > now() + ((s.checkpoint ->> 'length')::float + 1) * interval '1 second')
            OR (s.state = 'failed' AND s.due_at > now() AND s.finished_at > now() + interval '1 second')))))
RETURNING r.id
"""

OTHER_LIVES = """
SELECT DISTINCT lease_owner FROM runs_run
WHERE state = 'running' AND lease_owner LIKE %(slot)s AND lease_owner <> %(owner)s
"""

WAKE_DUE = """
UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL, version = version + 1
WHERE id IN (
    SELECT id FROM runs_run
    WHERE state = 'waiting' AND wake_at <= now()
        AND waiting_for IN ('timer', 'retry', 'network', 'all_stop', 'policy', 'plant_state', 'budget',
            'shards', 'approval')
    ORDER BY wake_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id, task_id, split_id
"""

WAKE_ONE = """
UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL, version = version + 1
WHERE id = %(id)s AND state = 'waiting' AND waiting_for = %(waiting_for)s
RETURNING id, task_id
"""

# A caller that is about to wait still reads "running" here; its row is locked all the same, so that it either looks for
# this run's end after this commit or has its wait seen.
WAKE_CALLER = """
WITH caller AS MATERIALIZED (SELECT id, state, waiting_for FROM runs_run WHERE id = %(id)s FOR UPDATE)
UPDATE runs_run r SET state = 'queued', waiting_for = '', wake_at = NULL, version = version + 1
FROM caller WHERE r.id = caller.id AND caller.state = 'waiting' AND caller.waiting_for = 'timer'
RETURNING r.id, r.task_id
"""
CALLED_HAS_ENDED = """
SELECT EXISTS (
    SELECT 1 FROM runs_step s JOIN runs_run c ON c.id = (s.checkpoint ->> 'child')::uuid
    WHERE s.run_id = %(id)s AND s.state = 'waiting' AND s.kind = 'task'
        AND c.state NOT IN ('queued', 'running', 'waiting'))
"""

END_WITHOUT_LEASE = """
UPDATE runs_run SET state = %(state)s, waiting_for = '', reason = %(reason)s, version = version + 1,
    wake_at = NULL, finished_at = now()
WHERE id = %(id)s AND state IN ('queued', 'waiting')
RETURNING id, task_id, parent_run_id
"""

# The reason of who asked first stays: the executor ends the run with it.
REQUEST_CANCEL = """
UPDATE runs_run SET cancel_requested = true, version = version + 1,
    reason = CASE WHEN cancel_requested THEN reason ELSE %(reason)s END
WHERE id = %(id)s AND state = 'running' RETURNING id
"""

CALLED_WITHOUT_SHARDS = """
DROP INDEX runs_run_called;
CREATE INDEX runs_run_called ON runs_run (parent_run_id)
    WHERE parent_run_id IS NOT NULL AND split_id IS NULL AND state IN ('queued', 'running', 'waiting')
"""
CREATE_CALLED = """
CREATE INDEX runs_run_called ON runs_run (parent_run_id)
    WHERE parent_run_id IS NOT NULL AND state IN ('queued', 'running', 'waiting')
"""

# Shards are ended and counted by their own keeper; what is being undone goes on whatever its caller does.
# The deepest first: a run that ends locks itself, then wakes its caller, and nobody may come from the other side.
LOCK_CALLED = """
WITH RECURSIVE called AS (
    SELECT id, 1 AS depth FROM runs_run
    WHERE parent_run_id = %(id)s AND split_id IS NULL AND NOT undo_requested
        AND state IN ('queued', 'running', 'waiting')
    UNION ALL
    SELECT r.id, c.depth + 1 FROM called c JOIN runs_run r ON r.parent_run_id = c.id
    WHERE r.split_id IS NULL AND NOT r.undo_requested AND r.state IN ('queued', 'running', 'waiting')
)
SELECT r.id FROM called c JOIN runs_run r ON r.id = c.id ORDER BY c.depth DESC, r.id FOR UPDATE OF r
"""

# What runs is only told: its worker ends it with its whole process tree, and with this reason.
END_CALLED = """
UPDATE runs_run r SET state = CASE r.state WHEN 'running' THEN 'running' ELSE 'cancelled' END,
    waiting_for = '', wake_at = NULL, cancel_requested = true, version = r.version + 1, reason = %(reason)s,
    finished_at = CASE r.state WHEN 'running' THEN NULL ELSE now() END
WHERE r.id = ANY(%(ids)s) AND r.state IN ('queued', 'running', 'waiting') AND NOT r.cancel_requested
RETURNING r.id, r.state, (SELECT t.name FROM tasks_task t WHERE t.id = r.task_id)
"""

# A process that was killed between the end of a run and the end of what it had called leaves these.
CALLED_BY_CANCELLED = """
SELECT DISTINCT p.id, p.reason FROM runs_run r JOIN runs_run p ON p.id = r.parent_run_id
WHERE r.parent_run_id IS NOT NULL AND r.state IN ('queued', 'running', 'waiting') AND NOT r.cancel_requested
    AND p.state = 'cancelled' AND r.split_id IS NULL AND NOT r.undo_requested
"""

# What was under way when its run was cancelled was ended with it; whether it took effect is not known.
END_STEPS = """
UPDATE runs_step SET state = CASE WHEN effect = 'unsafe' AND state = 'intent' THEN 'ambiguous' ELSE 'failed' END,
    error = 'ended with its run', finished_at = now()
WHERE run_id = ANY(%(ids)s) AND state IN ('intent', 'waiting')
"""

RECEIPT = """
UPDATE runs_step SET state = %(state)s, error = %(error)s, detail = coalesce(detail, '{}') || %(detail)s,
    finished_at = now()
WHERE run_id = %(run_id)s AND step = %(step)s AND state = 'handed_over'
RETURNING step
"""

RESOLVE_STEP = """
UPDATE runs_step SET state = %(state)s, error = %(error)s, finished_at = now()
WHERE run_id = %(run_id)s AND state = 'ambiguous' RETURNING step
"""
