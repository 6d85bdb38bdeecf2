"""Named SQL of the tests of models: candidates, tries, and the one statement by which a candidate goes live."""

# In the place of an earlier candidate of that name: the last word counts. ``over`` is the revision of what is live now;
# NULL as revision: whatever that is, else only where it is still the one that was seen.
OFFER = """
INSERT INTO inference_candidate AS old (
    name, version, digest, profile, engine, context, slots, device, options, keep_alive, state, reason, over, revision,
    changed_at, changed_by
)
SELECT %(name)s, %(version)s, %(digest)s, %(profile)s, %(engine)s, %(context)s, %(slots)s, %(device)s, %(options)s,
    %(keep_alive)s, 'waiting', '', live.revision, 1, %(at)s, %(by)s
FROM (
    SELECT coalesce((SELECT revision FROM inference_servedmodel WHERE name = %(name)s), 0) AS revision
) AS live
WHERE %(revision)s::int IS NULL OR live.revision = %(revision)s
ON CONFLICT (name) DO UPDATE SET
    version = excluded.version, digest = excluded.digest, profile = excluded.profile, engine = excluded.engine,
    context = excluded.context, slots = excluded.slots, device = excluded.device, options = excluded.options,
    keep_alive = excluded.keep_alive, state = excluded.state, reason = excluded.reason, over = excluded.over,
    revision = old.revision + 1, changed_at = excluded.changed_at, changed_by = excluded.changed_by
"""

# Over what is live now, whatever was live when it was asked for first.
AGAIN = """
UPDATE inference_candidate SET state = 'waiting', reason = '', revision = revision + 1, changed_at = %(at)s,
    changed_by = %(by)s,
    over = coalesce((SELECT live.revision FROM inference_servedmodel AS live WHERE live.name = %(name)s), 0)
WHERE name = %(name)s AND state = 'refused'
"""

DROP = "DELETE FROM inference_candidate WHERE name = %(name)s"

# One at a time, the one that has waited longest. Its revision fences: an earlier claim's verdict counts no more.
# A way to run is another one once the operator has named another image.
CLAIM = """
UPDATE inference_candidate SET state = 'testing', reason = '', revision = revision + 1
WHERE name = (
    SELECT name FROM inference_candidate WHERE state = 'waiting' ORDER BY changed_at, name LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING name, version, digest, profile, engine, context, slots, device, options, revision, changed_by
"""

KEY = "UPDATE inference_candidate SET profile = %(profile)s WHERE name = %(name)s AND revision = %(revision)s"

BEGIN = """
INSERT INTO inference_acceptance (
    model, version, digest, profile, way, golden, results, passed, reason, started_at, finished_at, asked_by
) VALUES (
    %(name)s, %(version)s, %(digest)s, %(profile)s, %(way)s, '', '[]', NULL, '', %(at)s, NULL, %(changed_by)s
)
RETURNING id
"""

# Nothing where somebody has said something else meanwhile.
PROGRESS = """
UPDATE inference_acceptance SET results = %(results)s
WHERE id = %(try)s AND finished_at IS NULL AND EXISTS (
    SELECT FROM inference_candidate WHERE name = %(name)s AND revision = %(revision)s AND state = 'testing'
)
"""

FINISH = """
UPDATE inference_acceptance SET results = %(results)s, golden = %(golden)s, passed = %(passed)s, reason = %(reason)s,
    finished_at = %(at)s
WHERE id = %(try)s AND finished_at IS NULL
"""

# The candidate becomes what is live, in one statement: only the one that was tested (its digest and the revision of
# this very claim), and only over what was live when it was asked for. What was live stays known, to go back to.
GO_LIVE = """
WITH candidate AS (
    DELETE FROM inference_candidate
    WHERE name = %(name)s AND digest = %(digest)s AND revision = %(revision)s AND state = 'testing'
    RETURNING *
)
INSERT INTO inference_servedmodel AS old (
    name, version, digest, previous, engine, context, slots, device, options, keep_alive, enabled, revision,
    changed_at, changed_by
)
SELECT name, version, digest, '', engine, context, slots, device, options, keep_alive, true, over + 1, %(at)s,
    changed_by
FROM candidate
ON CONFLICT (name) DO UPDATE SET
    previous = CASE WHEN old.version = excluded.version THEN old.previous ELSE old.version END,
    version = excluded.version, digest = excluded.digest, engine = excluded.engine, context = excluded.context,
    slots = excluded.slots, device = excluded.device, options = excluded.options, keep_alive = excluded.keep_alive,
    enabled = true, revision = excluded.revision, changed_at = excluded.changed_at, changed_by = excluded.changed_by
WHERE old.revision = excluded.revision - 1
"""

REFUSE = """
UPDATE inference_candidate SET state = 'refused', reason = %(reason)s, revision = revision + 1
WHERE name = %(name)s AND revision = %(revision)s AND state = 'testing'
"""

# Behind all others: they may have a place where it has none.
WAIT = """
UPDATE inference_candidate SET state = 'waiting', reason = %(reason)s, changed_at = %(at)s
WHERE name = %(name)s AND revision = %(revision)s AND state = 'testing'
"""

# A try that came to nothing is no verdict.
FORGET = "DELETE FROM inference_acceptance WHERE id = %(try)s AND finished_at IS NULL"

# Of an earlier life of the keeper.
RESUME = "UPDATE inference_candidate SET state = 'waiting' WHERE state = 'testing'"
FORGET_ALL = "DELETE FROM inference_acceptance WHERE finished_at IS NULL"

# Beyond the newest of each model go all but those by which a verdict is known: the last pass, and the last refusal
# beside it, of each content in each way to run.
PRUNE = """
DELETE FROM inference_acceptance WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY model ORDER BY id DESC) AS place,
            row_number() OVER (PARTITION BY model, digest, profile, passed ORDER BY id DESC) AS of_its_kind,
            bool_or(passed) OVER (PARTITION BY model, digest, profile) AS has_passed
        FROM inference_acceptance WHERE finished_at IS NOT NULL
    ) AS tried
    WHERE place > %(keep)s AND NOT (has_passed AND of_its_kind = 1)
)
"""
