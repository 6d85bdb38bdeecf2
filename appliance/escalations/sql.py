"""Named SQL of escalations. Every change is conditional on the state and the stage that it leaves."""

# The same step once more opens the same one: its first messages are in the outbox under their own keys already.
OPEN = """
INSERT INTO escalations_escalation (id, code, title, text, about, task, run_id, step_id, alert_id, stages, stage, wait,
    next_at, priority, messages, state, opened_at, settled_by, way, command_key)
VALUES (%(id)s, %(code)s, %(title)s, %(text)s, %(about)s, %(task)s, %(run_id)s, %(step_id)s, %(alert_id)s, %(stages)s,
    0, %(wait)s, %(next_at)s, %(priority)s, %(messages)s, 'open', %(now)s, '', '', '')
ON CONFLICT (id) DO NOTHING RETURNING id
"""

# A clock that was set back: nobody waits longer than the stage is long.
NOT_LONGER = """
UPDATE escalations_escalation SET next_at = %(now)s + make_interval(secs => wait)
WHERE state = 'open' AND next_at > %(now)s + make_interval(secs => wait)
"""

DUE = """
SELECT id, stage FROM escalations_escalation WHERE state = 'open' AND next_at <= %(now)s
ORDER BY next_at, id LIMIT %(limit)s
"""

# The next stage, by whoever is first; `wait` is how long the one after it lets this one have.
ADVANCE = """
UPDATE escalations_escalation SET stage = stage + 1, wait = (stages -> (stage + 1) ->> 'after')::float8,
    next_at = %(now)s + make_interval(secs => (stages -> (stage + 1) ->> 'after')::float8)
WHERE id = %(id)s AND state = 'open' AND stage = %(stage)s AND next_at <= %(now)s
    AND stage + 1 < jsonb_array_length(stages)
RETURNING id, code, title, text, about, task, run_id, step_id, alert_id, stage, priority,
    stages -> (stage - 1) -> 'to' AS receivers, stages -> (stage - 1) ->> 'after' AS waited
"""

ADD_MESSAGES = "UPDATE escalations_escalation SET messages = messages || %(messages)s WHERE id = %(id)s"

EXHAUST = """
UPDATE escalations_escalation SET state = 'exhausted', next_at = NULL
WHERE id = %(id)s AND state = 'open' AND stage = %(stage)s AND next_at <= %(now)s
    AND stage + 1 >= jsonb_array_length(stages)
RETURNING id, code, title, task, run_id, step_id, alert_id, stage
"""

SETTLED = ("id", "code", "title", "task", "run_id", "step_id", "alert_id", "stage")
"""What ``SETTLE`` gives before the identifiers of its ``messages``."""

# One that is exhausted can still be answered. The first answer counts.
SETTLE = f"""
UPDATE escalations_escalation SET state = %(becomes)s, settled_at = %(now)s, settled_by = %(by)s, way = %(way)s,
    command_key = %(key)s, next_at = NULL
WHERE id = %(id)s AND state IN ('open', 'exhausted')
RETURNING {", ".join(SETTLED)}, ARRAY(SELECT jsonb_array_elements_text(messages))::uuid[]
"""

# What concerns a conversation: a message of it went there. What the web admin's feed says concerns all of its chats.
HERE = """
SELECT e.id FROM escalations_escalation e
WHERE e.state IN ('open', 'exhausted') AND EXISTS (
    SELECT 1 FROM outbox_item o
    WHERE o.id IN (SELECT m::uuid FROM jsonb_array_elements_text(e.messages) AS m) AND o.platform = %(platform)s
        AND (coalesce(o.receipt ->> 'conversation', o.conversation, '') = %(conversation)s
            OR (o.platform = 'webchat' AND coalesce(o.conversation, '') = '')))
ORDER BY e.id LIMIT 50
"""

COUNTS = """
SELECT state, count(*) FROM escalations_escalation WHERE state IN ('open', 'exhausted') GROUP BY state
"""
