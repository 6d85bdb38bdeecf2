"""Named SQL of what a run writes most often, each one statement: one round trip, one commit.

It writes to the journal and the audit record too, because they have to be one transaction with the rows. Lists of
texts go in binary (``b``): as text, each quotation mark in them is escaped by a regular expression.
"""

from appliance.runs.away_sql import SOME_AWAY
from appliance.runs.sql import HOLDS
from appliance.safety.gate import LOOK

_STEPS = """
INSERT INTO runs_step (run_id, step, attempt, position, phase, kind, effect, state, epoch, input, output,
    detail, stderr, error, checkpoint, due_at, started_at, finished_at)
SELECT {run}.id, s.step, s.attempt, s.position, s.phase, s.kind, s.effect, s.state, %(epoch)s, s.input, s.output,
    s.detail, s.stderr, s.error, s.checkpoint, s.due_at, s.started_at, s.finished_at
FROM {run}, json_to_recordset(%(steps)s::json) AS s(step text, attempt smallint, position smallint, phase text,
    kind text, effect text, state text, input jsonb, output jsonb, detail jsonb, stderr text, error text,
    checkpoint jsonb, due_at timestamptz, started_at timestamptz, finished_at timestamptz)
ON CONFLICT (run_id, step, attempt) DO UPDATE SET
    state = excluded.state, epoch = excluded.epoch, input = coalesce(excluded.input, runs_step.input),
    output = excluded.output, detail = excluded.detail, stderr = excluded.stderr, error = excluded.error,
    checkpoint = excluded.checkpoint, due_at = excluded.due_at, finished_at = excluded.finished_at
"""

_EVENTS = """
INSERT INTO events_event (type, subject, data)
SELECT e.type, e.subject, e.data::jsonb
FROM {run}, unnest(%(types)b::text[], %(subjects)b::text[], %(datas)b::text[]) WITH ORDINALITY
    AS e(type, subject, data, n)
ORDER BY e.n
"""

# The run is locked first and until the commit (P4), and only where its gate would say today what it said when the
# action was decided on. Nothing is written where a budget has no room: then none is charged. The head of the audit
# record is locked last, as everywhere.
WRITE = f"""
WITH look AS MATERIALIZED ({LOOK}),
held AS MATERIALIZED (
    SELECT id FROM runs_run
    WHERE id = %(run_id)s AND {HOLDS}
        AND (NOT %(decided)s OR EXISTS (SELECT FROM look WHERE coalesce(look.epoch, 0) = %(stop_epoch)s
            AND look.role IS NOT DISTINCT FROM %(role)s::text))
    FOR NO KEY UPDATE
),
charged AS MATERIALIZED (
    SELECT c.* FROM held, safety_charge(%(charges)s::json, %(charged_at)s::timestamptz, 'all') AS c
    WHERE %(charges)s::json IS NOT NULL
),
paid AS MATERIALIZED (SELECT held.id FROM held WHERE NOT EXISTS (SELECT FROM charged WHERE free_at IS NOT NULL)),
step AS ({_STEPS.format(run="paid")} RETURNING 1),
event AS ({_EVENTS.format(run="paid")} RETURNING 1),
written AS MATERIALIZED (
    SELECT paid.id FROM paid, (SELECT count(*) FROM step) AS s, (SELECT count(*) FROM event) AS e
),
audit AS MATERIALIZED (
    SELECT a.seq FROM written, audit_append(%(ats)s::timestamptz[], %(kinds)b::text[], %(principals)b::text[],
        %(audited)b::text[], %(bodies)b::text[]) AS a
    WHERE cardinality(%(bodies)b::text[]) > 0
)
SELECT look.*, (SELECT count(*) FROM written), (SELECT count(*) FROM audit),
    (SELECT json_agg(charged) FROM charged WHERE free_at IS NOT NULL),
    {SOME_AWAY}, CASE WHEN %(relaxed)s THEN set_config('synchronous_commit', 'off', true) END FROM look
"""

# Nobody waits for this run, and none of its messages is under way: else the general way is taken.
END = f"""
WITH ended AS (
    UPDATE runs_run
    SET state = %(state)s, waiting_for = '', reason = %(reason)s, warning = %(warning)s, wake_at = NULL,
        version = version + 1, lease_owner = '', lease_until = NULL, recoveries = 0, finished_at = now()
    WHERE id = %(run_id)s AND {HOLDS} AND parent_run_id IS NULL
        AND NOT EXISTS (SELECT FROM runs_step WHERE run_id = %(run_id)s AND state = 'handed_over')
    RETURNING id
),
step AS ({_STEPS.format(run="ended")} RETURNING 1),
event AS ({_EVENTS.format(run="ended")} RETURNING 1)
SELECT (SELECT count(*) FROM ended)
"""
