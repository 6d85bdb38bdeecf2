"""Named SQL of the agent: sentences that people have confirmed."""

# Who says something else of the same sentence later has changed their mind.
KEEP_EXAMPLE = """
INSERT INTO agent_example (text, language, intent, slots, "by", at)
VALUES (%(text)s, %(language)s, %(intent)s, %(slots)s, %(by)s, %(at)s)
ON CONFLICT ("by", text) DO UPDATE
SET language = excluded.language, intent = excluded.intent, slots = excluded.slots, at = excluded.at
"""

PRUNE_EXAMPLES = """
DELETE FROM agent_example WHERE "by" = %(by)s AND id IN (
    SELECT id FROM agent_example WHERE "by" = %(by)s ORDER BY at DESC, id DESC OFFSET %(most)s
)
"""

REMOVE_EXAMPLE = 'DELETE FROM agent_example WHERE id = %(id)s AND (%(any)s OR "by" = %(by)s) RETURNING id'

# All that a router knows of a box has changed only where one of these has.
REVISION = """
SELECT (SELECT number FROM tasks_revision),
       (SELECT count(*) || '/' || coalesce(max(at)::text, '') FROM agent_example),
       (SELECT count(*) || '/' || coalesce(max(id), 0) FROM devices_device WHERE revoked_at IS NULL),
       (SELECT string_agg(name, ',' ORDER BY name) FROM bridges_platform),
       (SELECT string_agg(name, ',' ORDER BY name) FROM inference_servedmodel WHERE enabled)
"""

# Of one agent, all in all: told again after a crash it is the same row.
KEEP_SPENT = """
INSERT INTO agent_spent (above, run_id, steps, tokens, seconds, at)
SELECT unnest(%(above)s::uuid[]), %(run)s, %(steps)s, %(tokens)s, %(seconds)s, %(now)s
ON CONFLICT (above, run_id) DO UPDATE SET steps = greatest(agent_spent.steps, excluded.steps),
    tokens = greatest(agent_spent.tokens, excluded.tokens), seconds = greatest(agent_spent.seconds, excluded.seconds),
    at = excluded.at
"""

# No run is worked on for so long; a few at a time, whenever one is kept.
PRUNE_SPENT = """
DELETE FROM agent_spent WHERE (above, run_id) IN (
    SELECT above, run_id FROM agent_spent WHERE at < %(now)s - interval '30 days' LIMIT 20
)
"""

SPENT_BENEATH = """
SELECT coalesce(sum(steps), 0), coalesce(sum(tokens), 0), coalesce(sum(seconds), 0)
FROM agent_spent WHERE above = %(above)s
"""
