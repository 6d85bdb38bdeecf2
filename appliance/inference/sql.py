"""Named SQL of the keeper: what is to be served, and what it writes down. Of the tests: ``acceptance/sql.py``."""

HINT_CHANNEL = "millwright_models"

CREATE_GENERATION = "CREATE SEQUENCE inference_generation"
DROP_GENERATION = "DROP SEQUENCE inference_generation"

NEXT_GENERATION = "SELECT nextval('inference_generation')"

SERVED = """
SELECT name, version, digest, engine, context, slots, device, options, keep_alive
FROM inference_servedmodel WHERE enabled ORDER BY name
"""

# What is being tested stands beside what is live, and never in its place.
CANDIDATES = """
SELECT name, version, digest, engine, context, slots, device, options
FROM inference_candidate WHERE state = 'testing' ORDER BY name
"""

CHAINS = "SELECT work, models_in_order FROM inference_workchain"

CHANGED = """
INSERT INTO inference_modelchange (model, version, generation, state, reason, at)
VALUES (%(model)s, %(version)s, %(generation)s, %(state)s, %(reason)s, %(at)s)
"""

LEARNED = """
SELECT device_bytes, memory_bytes, load_seconds FROM inference_learnedfootprint WHERE key = %(key)s
"""

# What is not known this time stays as it was known before.
LEARN = """
INSERT INTO inference_learnedfootprint AS old (key, model, device_bytes, memory_bytes, load_seconds, at)
VALUES (%(key)s, %(model)s, %(device_bytes)s, %(memory_bytes)s, %(load_seconds)s, %(at)s)
ON CONFLICT (key) DO UPDATE SET
    device_bytes = coalesce(excluded.device_bytes, old.device_bytes),
    memory_bytes = coalesce(excluded.memory_bytes, old.memory_bytes),
    load_seconds = coalesce(excluded.load_seconds, old.load_seconds), at = excluded.at
"""

PRUNE = "DELETE FROM inference_modelchange WHERE at < %(before)s"

HINT = "SELECT pg_notify('millwright_models', '')"

# What was live stays known, to go back to. NULL as revision: whatever stands there; else only where it is still that.
SERVE = """
INSERT INTO inference_servedmodel AS old (
    name, version, digest, previous, engine, context, slots, device, options, keep_alive, enabled, revision,
    changed_at, changed_by
) VALUES (
    %(name)s, %(version)s, %(digest)s, '', %(engine)s, %(context)s, %(slots)s, %(device)s, %(options)s,
    %(keep_alive)s, true, 1, %(at)s, %(by)s
)
ON CONFLICT (name) DO UPDATE SET
    previous = CASE WHEN old.version = excluded.version THEN old.previous ELSE old.version END,
    version = excluded.version, digest = excluded.digest, engine = excluded.engine, context = excluded.context,
    slots = excluded.slots, device = excluded.device, options = excluded.options, keep_alive = excluded.keep_alive,
    enabled = true, revision = old.revision + 1, changed_at = excluded.changed_at, changed_by = excluded.changed_by
WHERE %(revision)s::int IS NULL OR old.revision = %(revision)s
RETURNING revision
"""

WITHDRAW = """
UPDATE inference_servedmodel SET enabled = false, revision = revision + 1, changed_at = %(at)s, changed_by = %(by)s
WHERE name = %(name)s AND enabled
"""

# In the way in which that version passed its tests.
GO_BACK = """
UPDATE inference_servedmodel SET version = previous, previous = version, digest = %(digest)s, engine = %(engine)s,
    context = %(context)s, slots = %(slots)s, device = %(device)s, options = %(options)s, enabled = true,
    revision = revision + 1, changed_at = %(at)s, changed_by = %(by)s
WHERE name = %(name)s AND revision = %(revision)s
"""

# As SERVE, of the selection matrix: one row for each kind of work.
SET_CHAIN = """
INSERT INTO inference_workchain AS old (work, models_in_order, revision, changed_at, changed_by)
VALUES (%(work)s, %(names)s, 1, %(at)s, %(by)s)
ON CONFLICT (work) DO UPDATE SET models_in_order = excluded.models_in_order, revision = old.revision + 1,
    changed_at = excluded.changed_at, changed_by = excluded.changed_by
WHERE %(revision)s::int IS NULL OR old.revision = %(revision)s
"""
