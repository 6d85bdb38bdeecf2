"""Named SQL of the keeper: what is to be served, and what it writes down."""

HINT_CHANNEL = "millwright_models"

CREATE_GENERATION = "CREATE SEQUENCE inference_generation"
DROP_GENERATION = "DROP SEQUENCE inference_generation"

NEXT_GENERATION = "SELECT nextval('inference_generation')"

SERVED = """
SELECT name, version, digest, engine, context, slots, device, options, keep_alive
FROM inference_servedmodel WHERE enabled ORDER BY name
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
