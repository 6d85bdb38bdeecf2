"""Named SQL of kept values.

The journal's order is (xact, seq), as in appliance/events/sql.py: a sequence number alone may become visible out of
order, because a transaction that drew a smaller one can commit later.
"""

_NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_PLACE_IN_JOURNAL = "pg_current_xact_id()::text::bigint, nextval('cache_journal')"

# The last committed value, always; a value that the process has already is not sent again.
READ = """
SELECT e.key, e.seq, CASE WHEN e.seq <> known.seq THEN e.value::text END
FROM unnest(%(keys)s::text[], %(seqs)s::bigint[]) AS known(key, seq)
JOIN cache_cacheentry e USING (key)
WHERE NOT e.deleted
"""

# A write of this box. The stamp follows appliance/cache/stamps.py. With ``expected`` it is a compare-and-set:
# 0 is "no such value". No row comes back where another version is current.
WRITE = f"""
INSERT INTO cache_cacheentry AS e
    (key, value, version, wall, counter, origin, deleted, updated_at, updated_by, xact, seq)
SELECT %(key)s::text, %(value)s::jsonb, 1, coalesce(%(wall)s::bigint, {_NOW_MS}), 0, %(origin)s::text,
    %(deleted)s::boolean, now(), %(by)s::text, {_PLACE_IN_JOURNAL}
WHERE %(expected)s::bigint IS NULL OR %(expected)s::bigint = 0
    OR EXISTS (SELECT FROM cache_cacheentry WHERE key = %(key)s::text)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = e.version + 1,
    wall = greatest(e.wall, excluded.wall),
    counter = CASE WHEN e.wall >= excluded.wall THEN e.counter + 1 ELSE 0 END,
    origin = excluded.origin, deleted = excluded.deleted,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by, xact = excluded.xact, seq = excluded.seq
WHERE %(expected)s::bigint IS NULL
    OR (e.version = %(expected)s::bigint AND NOT e.deleted) OR (%(expected)s::bigint = 0 AND e.deleted)
RETURNING version
"""

# A write whose stamp is settled: another box's, or one that was decided here. ``mark`` is the seq of the row that
# was decided on; no row comes back if it was written since.
PLACE = f"""
INSERT INTO cache_cacheentry AS e
    (key, value, version, wall, counter, origin, deleted, updated_at, updated_by, xact, seq)
VALUES (%(key)s, %(value)s::jsonb, 1, %(wall)s, %(counter)s, %(origin)s, %(deleted)s, %(at)s, %(by)s,
    {_PLACE_IN_JOURNAL})
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = e.version + 1, wall = excluded.wall,
    counter = excluded.counter, origin = excluded.origin, deleted = excluded.deleted,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by, xact = excluded.xact, seq = excluded.seq
WHERE e.seq = %(mark)s
RETURNING version
"""

# Put it at the end of the journal again, as it is.
TOUCH = """
UPDATE cache_cacheentry SET xact = pg_current_xact_id()::text::bigint, seq = nextval('cache_journal')
WHERE key = %(key)s
"""

_ROW = "key, value::text, deleted, wall, counter, origin, updated_at, updated_by, xact, seq, version"
ENTRY = f"SELECT {_ROW} FROM cache_cacheentry WHERE key = %(key)s"
ENTRY_LOCKED = f"{ENTRY} FOR UPDATE"

HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"

_AFTER = """
(xact, seq) > (%(xact)s, %(seq)s) AND xact < %(horizon)s AND key LIKE ANY (%(patterns)s)
"""
JOURNAL = f"SELECT {_ROW} FROM cache_cacheentry WHERE {_AFTER} ORDER BY xact, seq LIMIT %(limit)s"
BEHIND = f"SELECT count(*) FROM (SELECT 1 FROM cache_cacheentry WHERE {_AFTER} LIMIT %(limit)s) AS waiting"

AGREED = "SELECT base::text, sent::text, failures FROM cache_cacheagreed WHERE peer_id = %(peer)s AND key = %(key)s"
AGREED_LOCKED = f"{AGREED} FOR UPDATE"
AGREE = """
INSERT INTO cache_cacheagreed (peer_id, key, base, sent, failures)
VALUES (%(peer)s, %(key)s, %(base)s::jsonb, %(sent)s::jsonb, %(failures)s)
ON CONFLICT (peer_id, key) DO UPDATE SET base = excluded.base, sent = excluded.sent, failures = excluded.failures
"""
UNANSWERED = """
SELECT sent::text FROM cache_cacheagreed WHERE peer_id = %(peer)s AND sent IS NOT NULL ORDER BY id LIMIT %(limit)s
"""

OPEN_CONFLICT = """
SELECT id FROM cache_cacheconflict WHERE peer_id = %(peer)s AND key = %(key)s AND decided_at IS NULL FOR UPDATE
"""
RECORD_CONFLICT = """
INSERT INTO cache_cacheconflict
    (peer_id, peer_name, key, base, mine, theirs, policy, choice, why, opened_at, decided_at, decided_by)
VALUES (%(peer)s, %(peer_name)s, %(key)s, %(base)s::jsonb, %(mine)s::jsonb, %(theirs)s::jsonb, %(policy)s,
    %(choice)s, %(why)s, %(now)s, %(decided_at)s, %(by)s)
"""
REFRESH_CONFLICT = """
UPDATE cache_cacheconflict SET mine = %(mine)s::jsonb, theirs = coalesce(%(theirs)s::jsonb, theirs)
WHERE id = %(id)s AND decided_at IS NULL
"""
DECIDE_CONFLICT = """
UPDATE cache_cacheconflict SET choice = %(choice)s, decided_at = %(now)s, decided_by = %(by)s
WHERE id = %(id)s AND decided_at IS NULL
"""

PARK = """
INSERT INTO cache_cacheparked (peer_id, key, direction, document, reason, at)
VALUES (%(peer)s, %(key)s, %(direction)s, %(document)s, %(reason)s, %(now)s)
ON CONFLICT (peer_id, key, direction) DO UPDATE SET document = excluded.document, reason = excluded.reason,
    at = excluded.at
"""
UNPARK = (
    "DELETE FROM cache_cacheparked WHERE peer_id = %(peer)s AND key = %(key)s AND direction = %(direction)s"
)

TAKEN = "SELECT 1 FROM cache_cachereceived WHERE id = %(id)s"
TAKE = "INSERT INTO cache_cachereceived (id, at) VALUES (%(id)s, %(now)s) ON CONFLICT (id) DO NOTHING"

PEER = """
SELECT p.id, p.name, p.pull_cursor, p.push_cursor, p.skew_ms,
    coalesce(json_agg(json_build_array(r.prefix, r.policy, r.counters) ORDER BY r.id)
        FILTER (WHERE r.id IS NOT NULL), '[]')::text
FROM cache_cachepeer p LEFT JOIN cache_cacherule r ON r.peer_id = p.id
WHERE p.id = %(peer)s AND p.enabled GROUP BY p.id
"""
PULLED = "UPDATE cache_cachepeer SET pull_cursor = %(cursor)s WHERE id = %(peer)s AND pull_cursor = %(was)s"
PUSHED = "UPDATE cache_cachepeer SET push_cursor = %(cursor)s WHERE id = %(peer)s AND push_cursor = %(was)s"
HEARD = """
UPDATE cache_cachepeer SET box = %(box)s, skew_ms = %(skew)s, last_contact = %(now)s WHERE id = %(peer)s
"""
ROUND_DONE = "UPDATE cache_cachepeer SET failures = 0, last_error = '' WHERE id = %(peer)s"
ROUND_FAILED = """
UPDATE cache_cachepeer SET failures = failures + 1, last_error = %(error)s WHERE id = %(peer)s RETURNING failures
"""

# One round at a time for each peer, whoever asks for it; the lock ends with the session.
TRY_LOCK = "SELECT pg_try_advisory_lock(%(space)s, %(peer)s)"
UNLOCK = "SELECT pg_advisory_unlock(%(space)s, %(peer)s)"
LOCK_SPACE = 0x6361_6368

PRUNE = (
    "DELETE FROM cache_cachereceived WHERE at < %(now)s - interval '30 days'",
    "DELETE FROM cache_cacheconflict WHERE decided_at < %(now)s - interval '90 days'",
    """
    DELETE FROM cache_cacheentry e WHERE e.deleted AND e.updated_at < %(now)s - interval '90 days'
        AND NOT EXISTS (SELECT FROM cache_cacheconflict c WHERE c.key = e.key AND c.decided_at IS NULL)
    """,
)
