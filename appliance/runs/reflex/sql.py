"""Named SQL of the reflex lane: one function call is one group commit.

It writes to rows of other areas (occurrences, last values, outbox, journal, audit) because they have to be
one transaction and one round trip. Every other writer of those tables goes through its area's services.
"""

from appliance.runs.away_sql import SOME_TARGETS

CREATE = """
CREATE TABLE runs_reflex (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    generation integer NOT NULL DEFAULT 0,
    commit_number bigint NOT NULL DEFAULT 0,
    settled uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
) WITH (fillfactor = 20);
INSERT INTO runs_reflex DEFAULT VALUES;
"""

CREATE_COMMIT = """
-- One group commit. The generation is the fencing token of the reactor that calls (P4), the commit's number
-- makes a repeat after a lost answer harmless, and 'settled' is the identifier below which every occurrence
-- has its run: a new reactor looks for what is missing above it (P3).
CREATE OR REPLACE FUNCTION runs_reflex_commit(
    my_generation integer, my_commit bigint, my_settled uuid, topic_values json, occurrences json, runs json,
    steps json, outbox json, events json, counters json,
    audit json, charges json, charged_at timestamptz, lines json
) RETURNS TABLE (outcome text, epoch bigint, level text, since timestamptz, by text, reason text, charged json)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    known record;
    paid json;
BEGIN
    UPDATE runs_reflex SET commit_number = my_commit, settled = my_settled
    WHERE generation = my_generation AND commit_number = my_commit - 1;
    IF NOT FOUND THEN
        SELECT r.generation, r.commit_number INTO STRICT known FROM runs_reflex r;
        RETURN QUERY SELECT
            CASE WHEN known.generation = my_generation AND known.commit_number = my_commit
                THEN 'repeated' ELSE 'fenced' END,
            s.epoch, s.level::text, s.since, s.by::text, s.reason::text, NULL::json
        FROM (SELECT 1) AS one LEFT JOIN safety_allstop s ON s.id = 1;
        RETURN;
    END IF;
    IF topic_values IS NOT NULL THEN
        PERFORM bus_remember(topic_values);
    END IF;
    IF occurrences IS NOT NULL THEN
        INSERT INTO tasks_occurrence (id, task_id, trigger, due_at, state, reason, event, run_id, version_id)
        SELECT o.id, o.task_id, o.trigger, o.due_at, 'fired', o.reason, o.event, o.run_id, o.version_id
        FROM json_to_recordset(occurrences) AS o(id uuid, task_id bigint, trigger text, due_at timestamptz,
            reason text, event jsonb, run_id uuid, version_id bigint);
    END IF;
    -- Runs of this lane that have ended or are handed over, and runs that wait for a worker from the start.
    IF runs IS NOT NULL THEN
        INSERT INTO runs_run (id, task_id, version_id, occurrence_id, lane, state, waiting_for, reason,
            warning, principal, origin, trigger, priority, inputs, wake_at, deadline, version, epoch,
            created_at, started_at, finished_at)
        SELECT r.id, r.task_id, r.version_id, r.occurrence_id, r.lane, r.state, r.waiting_for, r.reason,
            r.warning, r.principal, r.origin, r.trigger, r.priority, o.event, r.wake_at, r.deadline,
            CASE r.lane WHEN 'reflex' THEN 1 ELSE 0 END, CASE r.lane WHEN 'reflex' THEN 1 ELSE 0 END,
            r.created_at, CASE r.lane WHEN 'reflex' THEN r.created_at END, r.finished_at
        FROM json_to_recordset(runs) AS r(id uuid, task_id bigint, version_id bigint, occurrence_id uuid,
            lane text, state text, waiting_for text, reason text, warning text, principal text, origin text,
            trigger text, priority smallint, wake_at timestamptz, deadline timestamptz,
            created_at timestamptz, finished_at timestamptz)
        JOIN tasks_occurrence o ON o.id = r.occurrence_id;
    END IF;
    -- In the same commit in which it waits: nobody who comes later may overtake it.
    IF lines IS NOT NULL THEN
        INSERT INTO runs_away (run_id, target, behind)
        SELECT l.run_id, l.target, false FROM json_to_recordset(lines) AS l(run_id uuid, target text);
    END IF;
    IF steps IS NOT NULL THEN
        INSERT INTO runs_step (run_id, step, attempt, position, phase, kind, effect, state, epoch, input,
            output, detail, stderr, error, checkpoint, due_at, started_at, finished_at)
        SELECT s.run_id, s.step, s.attempt, s.position, s.phase, s.kind, s.effect, s.state, 1, s.input,
            s.output, s.detail, '', s.error, s.checkpoint, s.due_at, s.started_at, s.finished_at
        FROM json_to_recordset(steps) AS s(run_id uuid, step text, attempt smallint, position smallint,
            phase text, kind text, effect text, state text, input jsonb, output jsonb, detail jsonb,
            error text, checkpoint jsonb, due_at timestamptz, started_at timestamptz, finished_at timestamptz);
    END IF;
    IF outbox IS NOT NULL THEN
        INSERT INTO outbox_item (id, key, platform, conversation, message, run_id, step_id, priority,
            about, expiry_given, expires_at)
        SELECT i.id, i.key, i.platform, i.conversation, i.message, i.run_id, i.step_id, i.priority,
            i.about, i.expires_at IS NOT NULL, coalesce(i.expires_at, now() + interval '24 hours')
        FROM json_to_recordset(outbox) AS i(id uuid, key text, platform text, conversation text,
            message jsonb, run_id uuid, step_id text, priority smallint, about text, expires_at timestamptz)
        ON CONFLICT (id) DO NOTHING;
        PERFORM pg_notify('millwright_outbox', '');
    END IF;
    IF events IS NOT NULL THEN
        INSERT INTO events_event (type, subject, data)
        SELECT e.type, e.subject, e.data
        FROM json_to_recordset(events) AS e(type text, subject text, data jsonb);
    END IF;
    IF counters IS NOT NULL THEN
        UPDATE tasks_tasktrigger t SET fired = t.fired + n.fired, refused = t.refused + n.refused,
            failed = t.failed + n.failed,
            last_fired_at = CASE WHEN n.fired > 0 THEN n.at ELSE t.last_fired_at END
        FROM json_to_recordset(counters) AS n(task_id bigint, trigger text, fired integer, refused integer,
            failed integer, at timestamptz)
        WHERE t.task_id = n.task_id AND t.trigger = n.trigger;
    END IF;
    IF charges IS NOT NULL THEN
        SELECT json_agg(c) INTO paid FROM safety_charge(charges, charged_at, 'part') AS c;
    END IF;
    IF audit IS NOT NULL THEN
        PERFORM audit_append(a.ats, a.kinds, a.principals, a.subjects, a.bodies) FROM (
            SELECT array_agg(r.at ORDER BY n) AS ats, array_agg(r.kind ORDER BY n) AS kinds,
                array_agg(r.principal ORDER BY n) AS principals, array_agg(r.subject ORDER BY n) AS subjects,
                array_agg(r.body ORDER BY n) AS bodies
            FROM ROWS FROM (json_to_recordset(audit) AS (at timestamptz, kind text, principal text,
                subject text, body text)) WITH ORDINALITY AS r(at, kind, principal, subject, body, n)
        ) AS a;
    END IF;
    RETURN QUERY SELECT 'done', s.epoch, s.level::text, s.since, s.by::text, s.reason::text, paid
    FROM (SELECT 1) AS one LEFT JOIN safety_allstop s ON s.id = 1;
END $$;
"""

DROP_COMMIT = """
DROP FUNCTION IF EXISTS runs_reflex_commit(integer, bigint, uuid, json, json, json, json, json, json, json,
    json, json, timestamptz, json);
"""

# As boxes had it that were set up before runs stood in line before a target that is away.
DROP_WITHOUT_LINES = """
DROP FUNCTION IF EXISTS runs_reflex_commit(integer, bigint, uuid, json, json, json, json, json, json, json,
    json, json, timestamptz);
"""

# As boxes had it that were set up before budgets were.
DROP_EARLIER = """
DROP FUNCTION IF EXISTS runs_reflex_commit(integer, bigint, uuid, json, json, json, json, json, json, json, json);
"""

DROP = "DROP TABLE runs_reflex"

COMMIT_TAKES = {
    "generation": "integer",
    "commit": "bigint",
    "settled": "uuid",
    "values": "json",
    "occurrences": "json",
    "runs": "json",
    "steps": "json",
    "outbox": "json",
    "events": "json",
    "counters": "json",
    "audit": "json",
    "charges": "json",
    "charged_at": "timestamptz",
    "lines": "json",
}
"""The function's arguments in their order."""

PREPARE_COMMIT = f"""
PREPARE millwright_reflex_commit ({", ".join(COMMIT_TAKES.values())}) AS
SELECT outcome, epoch, level, since, by, reason, charged, {SOME_TARGETS}
FROM runs_reflex_commit({", ".join(f"${n}" for n in range(1, len(COMMIT_TAKES) + 1))})
"""

# A new reactor fences the old one off: what the old one still had in its hands it can no longer write.
BEGIN_GENERATION = """
UPDATE runs_reflex SET generation = generation + 1 RETURNING generation, commit_number, settled
"""

REACHED = "SELECT generation, commit_number FROM runs_reflex"

# Commits that do not wait for the disk, on the lane's own connection (see `unflushed`).
DO_NOT_WAIT_FOR_DISK = "SET synchronous_commit = off"
WAIT_FOR_DISK = "SET LOCAL synchronous_commit = on"

# Its own commit waits for the disk, and with it for every commit before it: what it reads is safe when it ends.
# A message in the log is what makes PostgreSQL write anything at all.
FLUSH = """
SELECT generation, commit_number, pg_logical_emit_message(true, 'millwright.flush', '') FROM runs_reflex
"""

# What an earlier reactor acknowledged and did not bring to its end: an occurrence whose run is not there.
UNSETTLED = """
SELECT o.id, o.task_id, o.trigger, o.due_at, o.reason, o.event, o.run_id, o.version_id
FROM tasks_occurrence o
WHERE o.id >= %(settled)s AND o.state = 'fired' AND o.run_id IS NOT NULL AND o.version_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM runs_run r WHERE r.id = o.run_id)
ORDER BY o.id LIMIT %(limit)s
"""

HAVE_RECOVERED = "UPDATE runs_run SET recoveries = 1, warning = %(warning)s WHERE id = ANY(%(ids)s)"

HAS_NO_RUN = (
    "UPDATE tasks_occurrence SET run_id = NULL, reason = %(reason)s WHERE id = %(id)s AND state = 'fired'"
)
