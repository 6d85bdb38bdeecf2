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
