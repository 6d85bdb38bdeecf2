"""Named SQL of shards. Whatever changes a split holds the lock of the run that was split.

A shard's end is counted once: ``counted`` is set in the transaction that adds it to its split's counters.
"""

CREATE = """
CREATE TABLE runs_split (
    id uuid PRIMARY KEY,
    run_id uuid NOT NULL,
    step varchar(100) NOT NULL,
    attempt smallint NOT NULL,
    join_policy varchar(10) NOT NULL,
    join_number integer NOT NULL,
    parallelism integer NOT NULL,
    context jsonb NOT NULL,
    source jsonb NOT NULL,
    shard_deadline timestamptz,
    due_at timestamptz,
    bytes bigint NOT NULL DEFAULT 0,
    expanded integer NOT NULL DEFAULT 0,
    total integer,
    admitted integer NOT NULL DEFAULT 0,
    succeeded integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    cancelled integer NOT NULL DEFAULT 0,
    outcome varchar(10) NOT NULL DEFAULT '',
    reason varchar(1000) NOT NULL DEFAULT '',
    told_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX runs_split_run ON runs_split (run_id);
CREATE INDEX runs_split_open ON runs_split (id) WHERE closed_at IS NULL;
"""

DROP = "DROP TABLE runs_split"

# Lists of runs read the runs that are no shards: their indexes hold only those, so that a run of 100,000
# shards costs the list nothing. Shards whose turn has not come are not in the index of what waits either: a
# planner that had no statistics of fresh rows yet looked through all of them for the next one.
RUN_COLUMNS = """
ALTER TABLE runs_run ADD COLUMN split_id uuid, ADD COLUMN shard integer,
    ADD COLUMN counted boolean NOT NULL DEFAULT false;
DROP INDEX runs_run_task;
DROP INDEX runs_run_state;
CREATE INDEX runs_run_task ON runs_run (task_id, id DESC) WHERE split_id IS NULL;
CREATE INDEX runs_run_state ON runs_run (state, id DESC) WHERE split_id IS NULL;
DROP INDEX runs_run_waiting;
CREATE INDEX runs_run_waiting ON runs_run (wake_at) WHERE state = 'waiting' AND waiting_for <> 'turn';
CREATE INDEX runs_run_whole ON runs_run (id DESC) WHERE split_id IS NULL;
CREATE INDEX runs_run_shards ON runs_run (split_id, state, shard) WHERE split_id IS NOT NULL;
CREATE INDEX runs_run_uncounted ON runs_run (split_id, shard) WHERE split_id IS NOT NULL AND NOT counted
    AND state IN ('succeeded', 'failed', 'cancelled', 'undone', 'poisoned');
"""

RUN_COLUMNS_BACK = """
DROP INDEX runs_run_uncounted; DROP INDEX runs_run_shards; DROP INDEX runs_run_whole;
DROP INDEX runs_run_task; DROP INDEX runs_run_state; DROP INDEX runs_run_waiting;
ALTER TABLE runs_run DROP COLUMN split_id, DROP COLUMN shard, DROP COLUMN counted;
CREATE INDEX runs_run_task ON runs_run (task_id, id DESC);
CREATE INDEX runs_run_state ON runs_run (state, id DESC);
CREATE INDEX runs_run_waiting ON runs_run (wake_at) WHERE state = 'waiting';
"""

COLUMNS = """id, run_id, step, attempt, join_policy, join_number, parallelism, context, source,
    shard_deadline, due_at, bytes, expanded, total, admitted, succeeded, failed, cancelled, outcome, reason,
    closed_at, taken_from, taken"""

GET = f"SELECT {COLUMNS} FROM runs_split WHERE id = %(id)s"

# The epoch still holds the run, and the run stays locked until the commit: a stale worker expands nothing (P4).
FENCE = """
SELECT state FROM runs_run
WHERE id = %(run_id)s AND epoch = %(epoch)s AND lease_owner = %(owner)s AND state = 'running' FOR NO KEY UPDATE
"""

LOCK_RUN = "SELECT state FROM runs_run WHERE id = %(run_id)s FOR NO KEY UPDATE"

OPEN = f"""
INSERT INTO runs_split (id, run_id, step, attempt, join_policy, join_number, parallelism, context, source,
    shard_deadline, due_at)
VALUES (%(id)s, %(run_id)s, %(step)s, %(attempt)s, %(join_policy)s, %(join_number)s, %(parallelism)s,
    %(context)s, %(source)s, %(shard_deadline)s, %(due_at)s)
ON CONFLICT (id) DO NOTHING
RETURNING {COLUMNS}
"""

# A shard waits as a row until its turn comes: no worker looks at it. It has the run's own time, so that it
# lies in the same day's partition and goes with it.
ADD_SHARDS = """
INSERT INTO runs_run (id, task_id, version_id, parent_run_id, split_id, shard, lane, state, waiting_for,
    principal, origin, trigger, priority, inputs, deadline, reason, created_at)
SELECT s.id, p.task_id, p.version_id, p.id, %(split_id)s, s.shard, p.lane, 'waiting', 'turn', p.principal,
    p.origin, p.trigger, p.priority, %(context)s::jsonb || s.item::jsonb, %(deadline)s, %(reason)s, p.created_at
FROM runs_run p, unnest(%(ids)s::uuid[], %(shards)s::int[], %(items)s::text[]) AS s(id, shard, item)
WHERE p.id = %(run_id)s
ON CONFLICT (id) DO NOTHING
"""

EXPANDED = """
UPDATE runs_split SET expanded = %(expanded)s, bytes = %(bytes)s, source = %(source)s
WHERE id = %(id)s AND total IS NULL AND outcome = '' RETURNING id
"""

# Called from the last piece to the first: what `expanded` says stays true if that is cut off.
TAKE_BACK = """
WITH split AS MATERIALIZED (
    UPDATE runs_split SET expanded = %(from)s WHERE id = %(id)s AND total IS NULL AND outcome = '' RETURNING id)
DELETE FROM runs_run USING split WHERE runs_run.id = ANY(%(shards)s) AND runs_run.split_id = split.id
"""

COMPLETE = "UPDATE runs_split SET total = expanded WHERE id = %(id)s AND total IS NULL"

# Under the lock of the run, in one statement: what ended and was not counted yet is counted, the outcome is
# decided where it was not (once: by the first count that can), the next shards get their turn, and the run
# wakes when all has ended. Run, split and shards carry one time, so with it each table is one partition: to plan
# for all of them took longer than to count. A shard that was cancelled before its turn is counted by the keeper.
# Of shards that another run did, those `ahead` are done and had no turn: turns pass them over.
COUNT = f"""
WITH ended AS (
    UPDATE runs_run SET counted = true
    WHERE id = ANY(%(ids)s) AND NOT counted AND state IN ('succeeded', 'failed', 'cancelled', 'undone', 'poisoned')
    RETURNING shard, state, reason
), tally AS (
    SELECT count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE state IN ('failed', 'undone', 'poisoned')) AS failed,
        count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
        coalesce(min('shard ' || shard || ': ' || coalesce(nullif(reason, ''), state))
            FILTER (WHERE state <> 'succeeded'), '') AS reason
    FROM ended
), summed AS (
    SELECT s.id, s.total, s.join_policy, s.join_number, s.parallelism, s.admitted, s.ahead, s.outcome,
        s.succeeded + t.succeeded AS succeeded, s.failed + t.failed AS failed,
        s.cancelled + t.cancelled + %(swept)s AS cancelled, t.reason,
        s.succeeded + t.succeeded + s.failed + t.failed + s.cancelled + t.cancelled + %(swept)s AS done
    FROM runs_split s, tally t WHERE s.id = %(id)s
), decided AS (
    SELECT *, CASE
        WHEN outcome <> '' OR total IS NULL THEN outcome
        WHEN join_policy = 'at_least' AND succeeded >= join_number THEN 'succeeded'
        WHEN join_policy = 'at_least' AND total - failed - cancelled < join_number THEN 'failed'
        WHEN join_policy = 'tolerate' AND failed + cancelled > join_number THEN 'failed'
        WHEN done < total THEN ''
        WHEN join_policy = 'all' AND failed + cancelled > 0 THEN 'failed'
        ELSE 'succeeded' END AS verdict
    FROM summed
), turns AS (
    SELECT d.*, CASE WHEN d.verdict = '' AND r.state NOT IN
            ('succeeded', 'failed', 'cancelled', 'undone', 'poisoned')
        THEN greatest(0, least(d.parallelism - (d.admitted - d.done + d.ahead), d.total - d.admitted)) ELSE %(passed)s
        END AS more
    FROM decided d, runs_run r WHERE r.id = %(run_id)s
), reached AS (
    SELECT t.*, CASE WHEN t.ahead = 0 OR t.more = 0 OR t.verdict <> '' THEN t.admitted + t.more ELSE (
        SELECT CASE WHEN count(*) < t.more THEN t.total ELSE max(n.shard) + 1 END FROM (
            SELECT r.shard FROM runs_run r WHERE r.id >= %(first_id)s AND r.id < %(end_id)s AND r.split_id = %(id)s
                AND r.state = 'waiting' AND r.waiting_for = 'turn' AND r.shard >= t.admitted
            ORDER BY r.shard LIMIT t.more) n) END AS upto
    FROM turns t
), passed AS (
    SELECT t.*, CASE WHEN t.ahead = 0 THEN 0 WHEN t.verdict <> '' THEN %(passed)s - %(swept)s ELSE (
        SELECT count(*) FROM runs_run r WHERE r.id >= %(first_id)s AND r.id < %(end_id)s AND r.split_id = %(id)s
            AND r.state = 'succeeded' AND r.shard >= t.admitted AND r.shard < t.upto) END AS behind
    FROM reached t
), split AS (
    UPDATE runs_split s SET succeeded = t.succeeded, failed = t.failed, cancelled = t.cancelled,
        outcome = t.verdict, admitted = t.upto, ahead = s.ahead - t.behind,
        reason = CASE WHEN s.reason = '' THEN left(t.reason, 1000) ELSE s.reason END,
        closed_at = CASE WHEN t.done = t.total THEN coalesce(s.closed_at, now()) ELSE s.closed_at END,
        told_at = CASE WHEN s.told_at < now() - interval '1 second' OR t.done = t.total
            THEN now() ELSE s.told_at END
    FROM passed t WHERE s.id = %(id)s
    RETURNING {", ".join(f"s.{name.strip()}" for name in COLUMNS.split(","))}, s.told_at = now() AS tell,
        t.admitted AS admitted_before
), admitted AS (
    UPDATE runs_run r SET state = 'queued', waiting_for = '', version = version + 1
    FROM split s WHERE r.id >= %(first_id)s AND r.id < %(end_id)s AND r.split_id = %(id)s
        AND r.state = 'waiting' AND r.waiting_for = 'turn' AND s.outcome = ''
        AND r.shard >= s.admitted_before AND r.shard < s.admitted
    RETURNING r.id
), woken AS (
    UPDATE runs_run r SET state = 'queued', waiting_for = '', wake_at = NULL, version = version + 1
    FROM split s WHERE r.id = %(run_id)s AND s.closed_at IS NOT NULL AND r.state = 'waiting'
        AND r.waiting_for = 'shards'
    RETURNING r.id
)
SELECT s.*, ARRAY(SELECT id FROM admitted) || ARRAY(SELECT id FROM woken) AS queued FROM split s
"""

CLOSE = """
UPDATE runs_split SET outcome = 'cancelled', total = coalesce(total, expanded)
WHERE id = %(id)s AND outcome = '' RETURNING id
"""

# An outcome that came before the end of the expansion: what is expanded is all there will ever be.
CLOSE_EXPANSION = "UPDATE runs_split SET total = coalesce(total, expanded) WHERE id = %(id)s"

# What is left of a decided split: shards whose turn never came are cancelled and counted in one go, those
# under way are asked to end.
CANCEL_HELD = """
UPDATE runs_run SET state = 'cancelled', waiting_for = '', counted = true, version = version + 1,
    reason = CASE WHEN state = 'waiting' THEN %(reason)s ELSE reason END,
    finished_at = coalesce(finished_at, now())
WHERE id = ANY(%(ids)s) AND NOT counted
"""

# Who ends a shard holds its row and waits for the run's: here it is the other way round, so what is held by
# somebody is passed over. The keeper comes again as long as something is left.
CANCEL_LIVE = """
UPDATE runs_run SET state = 'cancelled', waiting_for = '', wake_at = NULL, version = version + 1,
    reason = %(reason)s, finished_at = now()
WHERE id IN (SELECT id FROM runs_run WHERE split_id = %(id)s AND state IN ('queued', 'waiting')
    AND shard < %(admitted)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""

STOP_RUNNING = """
UPDATE runs_run SET cancel_requested = true, version = version + 1
WHERE id IN (SELECT id FROM runs_run WHERE split_id = %(id)s AND state = 'running' AND NOT cancel_requested
    FOR UPDATE SKIP LOCKED)
RETURNING id
"""

END_STEPS = """
UPDATE runs_step SET state = CASE WHEN effect = 'unsafe' AND state = 'intent' THEN 'ambiguous' ELSE 'failed' END,
    error = 'ended with its run', finished_at = now()
WHERE run_id = ANY(%(ids)s) AND state IN ('intent', 'waiting')
"""

WAKE = """
UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL, version = version + 1
WHERE id = %(run_id)s AND state = 'waiting' AND waiting_for = 'shards' RETURNING id, task_id
"""

STILL_OPEN = "SELECT count(*) FROM runs_split WHERE run_id = %(run_id)s AND closed_at IS NULL"

# --- what the keeper looks for

UNCOUNTED = """
SELECT r.id, r.split_id, s.run_id FROM runs_run r JOIN runs_split s ON s.id = r.split_id
WHERE r.split_id IS NOT NULL AND NOT r.counted
    AND r.state IN ('succeeded', 'failed', 'cancelled', 'undone', 'poisoned') AND r.shard < s.admitted
ORDER BY r.split_id LIMIT 500
"""

DECIDED = f"""
SELECT {COLUMNS} FROM runs_split WHERE closed_at IS NULL AND outcome <> '' ORDER BY id LIMIT 20
"""

ABANDONED = """
SELECT s.id, s.run_id FROM runs_split s JOIN runs_run r ON r.id = s.run_id
WHERE s.closed_at IS NULL AND s.outcome = '' AND (
    r.state IN ('succeeded', 'failed', 'cancelled', 'undone', 'poisoned')
    OR EXISTS (SELECT 1 FROM runs_step t WHERE t.run_id = s.run_id AND t.step = s.step
        AND t.attempt = s.attempt AND t.state <> 'waiting'))
LIMIT 100
"""

IDLE = f"""
SELECT {COLUMNS} FROM runs_split s
WHERE s.closed_at IS NULL AND s.outcome = '' AND s.total IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM runs_run r WHERE r.split_id = s.id
        AND r.state IN ('queued', 'running', 'waiting') AND r.shard < s.admitted)
LIMIT 100
"""

RECOUNT = """
SELECT count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state IN ('failed', 'poisoned', 'undone')),
    count(*) FILTER (WHERE state = 'cancelled')
FROM runs_run WHERE split_id = %(id)s AND (shard < %(admitted)s OR state = 'succeeded')
"""

SET_COUNTS = """
UPDATE runs_split SET succeeded = %(succeeded)s, failed = %(failed)s, cancelled = %(cancelled)s WHERE id = %(id)s
"""

MARK_COUNTED = """
UPDATE runs_run SET counted = true WHERE split_id = %(id)s AND shard < %(admitted)s AND NOT counted
    AND state IN ('succeeded', 'failed', 'cancelled', 'undone', 'poisoned')
"""

OVERSLEPT = """
SELECT r.id FROM runs_run r WHERE r.state = 'waiting' AND r.waiting_for = 'shards'
    AND NOT EXISTS (SELECT 1 FROM runs_split s WHERE s.run_id = r.id AND s.closed_at IS NULL)
LIMIT 100
"""

# --- what the step's output is made of

# The last step of each shard that gave something.
_LAST = """runs_run r LEFT JOIN LATERAL (
    SELECT s.output FROM runs_step s WHERE s.run_id = r.id AND s.state IN ('succeeded', 'handed_over')
    ORDER BY s.position DESC, s.attempt DESC LIMIT 1) o ON r.state = 'succeeded'
WHERE r.id = ANY(%(ids)s)"""
OUTPUT_BYTES = f"SELECT coalesce(sum(octet_length(o.output::text)), 0) FROM {_LAST}"
OUTPUTS = f"SELECT r.shard, o.output FROM {_LAST} ORDER BY r.shard"

# Of a step that grows: where its one shard ended.
LAST_STEP = """
SELECT state, output, detail, stderr, error FROM runs_step WHERE run_id = %(id)s
ORDER BY position DESC, attempt DESC LIMIT 1
"""
