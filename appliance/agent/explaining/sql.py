"""Named SQL of how an agent is explained."""

# The transcripts are left where they are; of what a call gave, the beginning. Work began when people had decided, and
# never where nobody has.
STEPS = """
SELECT s.run_id, s.step, s.attempt, s.kind, s.effect, s.phase, s.state,
    CASE WHEN s.kind IN ('agent_turn', 'agent_plan', 'agent_answer') THEN s.output
        ELSE to_jsonb(left(s.output #>> '{}', %(most)s)) END,
    CASE WHEN jsonb_typeof(s.detail) = 'object' THEN s.detail - '{sent,came,observed}'::text[] END,
    s.error, left(s.stderr, %(most)s), s.due_at IS NOT NULL,
    least(s.finished_at, greatest(s.started_at, (SELECT max(coalesce(a.decided_at, a.closed_at, now()))
        FROM safety_approval a WHERE a.run_id = s.run_id AND a.step = s.step AND a.attempt = s.attempt))),
    s.finished_at, s.shared_from
FROM runs_step s WHERE s.run_id = ANY(%(ids)s) ORDER BY s.run_id, s.position, s.attempt
"""

TRANSCRIPT = """
SELECT detail ->> 'sent', detail ->> 'came' FROM runs_step
WHERE run_id = %(run_id)s AND step = %(step)s ORDER BY attempt DESC LIMIT 1
"""
