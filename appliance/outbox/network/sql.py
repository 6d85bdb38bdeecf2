"""Named SQL of the network monitor."""

# A target that moved is another one: what was known of it does not count.
WANT = """
INSERT INTO outbox_networktarget AS t (name, kind, host, port, state, since, reason, outages)
SELECT name, kind, host, port, 'unknown', %(now)s, '', 0
FROM unnest(%(names)s::text[], %(kinds)s::text[], %(hosts)s::text[], %(ports)s::int[]) AS w(name, kind, host, port)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, host = excluded.host, port = excluded.port,
    state = 'unknown', since = excluded.since, reason = ''
WHERE (t.kind, t.host, t.port) IS DISTINCT FROM (excluded.kind, excluded.host, excluded.port)
"""

FORGET = "DELETE FROM outbox_networktarget WHERE NOT name = ANY(%(names)s)"

KNOWN = "SELECT name, kind, state, since FROM outbox_networktarget ORDER BY name FOR UPDATE"

LOOKED = """
UPDATE outbox_networktarget t SET checked_at = %(now)s, reason = l.reason, round_trip_ms = l.ms
FROM unnest(%(names)s::text[], %(reasons)s::text[], %(ms)s::float8[]) AS l(name, reason, ms) WHERE t.name = l.name
"""

# Conditional: a second monitor that saw the same change finds it made, and tells nobody.
TURN = """
UPDATE outbox_networktarget SET state = %(state)s, since = %(now)s, outages = outages + %(lost)s
WHERE name = %(name)s AND state = %(before)s
"""

FACTS = """
INSERT INTO outbox_networkfacts AS f (id, condition, since, checked_at, interfaces, default_route, names_found, note)
VALUES (1, %(condition)s, %(now)s, %(now)s, %(interfaces)s, %(default_route)s, %(names_found)s, %(note)s)
ON CONFLICT (id) DO UPDATE SET condition = excluded.condition, checked_at = excluded.checked_at,
    since = CASE WHEN f.condition = excluded.condition THEN f.since ELSE excluded.since END,
    interfaces = excluded.interfaces, default_route = excluded.default_route,
    names_found = coalesce(excluded.names_found, f.names_found), note = excluded.note
"""
