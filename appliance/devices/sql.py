"""Named SQL of the devices' presence: the reactor's side."""

DEVICES = "SELECT name, publish FROM devices_device WHERE revoked_at IS NULL ORDER BY name"

SEEN = """
INSERT INTO devices_presence AS p (name, state, since, last_seen)
SELECT name, 'unknown', %(now)s, at FROM unnest(%(names)s::text[], %(ats)s::timestamptz[]) AS s(name, at)
WHERE EXISTS (SELECT 1 FROM devices_device d WHERE d.name = s.name AND d.revoked_at IS NULL)
ORDER BY name
ON CONFLICT (name) DO UPDATE SET last_seen = greatest(p.last_seen, excluded.last_seen)
"""

# Each edge is a conditional update: whoever comes second finds it made, and tells nobody.
ONLINE = """
UPDATE devices_presence SET state = 'online', since = %(now)s
WHERE name = ANY(%(names)s) AND state <> 'online' RETURNING name
"""

CONNECTED = """
UPDATE devices_presence SET connected = name = ANY(%(names)s)
WHERE connected IS DISTINCT FROM (name = ANY(%(names)s))
"""

UNKNOWN_CONNECTIONS = "UPDATE devices_presence SET connected = NULL WHERE connected IS NOT NULL"

# ``patient`` is when we began to listen: what was not heard before that does not count as silence.
OFFLINE = """
UPDATE devices_presence p SET state = 'offline', since = %(now)s
FROM devices_device d
WHERE d.name = p.name AND p.state = 'online' AND p.connected IS NOT TRUE
    AND greatest(p.last_seen, %(patient)s) < %(now)s - make_interval(secs => d.silence_seconds)
RETURNING p.name, d.silence_seconds
"""

REVOKED = """
DELETE FROM devices_presence p
WHERE NOT EXISTS (SELECT 1 FROM devices_device d WHERE d.name = p.name AND d.revoked_at IS NULL)
RETURNING name, state
"""
