"""Named SQL of the readings."""

TABLE = "devices_reading"

# One row for each topic, path and second. Dropping a day is the only clean-up.
CREATE = """
CREATE TABLE devices_reading (
    topic text NOT NULL,
    path text NOT NULL,
    at timestamptz NOT NULL,
    value double precision NOT NULL,
    low double precision NOT NULL,
    high double precision NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX devices_reading_series ON devices_reading (topic, path, at);
"""
DROP = "DROP TABLE devices_reading"

# What the last second said is lost in a crash, and nothing hangs on it: no commit waits for the disk.
NOT_AT_ONCE = "SET LOCAL synchronous_commit = off"
KEEP = """
INSERT INTO devices_reading (topic, path, at, value, low, high)
SELECT topic, path, at, value, low, high FROM json_to_recordset(%s::json) AS r(topic text, path text, at timestamptz,
    value double precision, low double precision, high double precision)
"""
SIZE = "SELECT coalesce(pg_total_relation_size(to_regclass(%s)), 0)"

BETWEEN = """
SELECT date_bin(%(width)s, at, %(since)s) AS stretch, min(low), avg(value), max(high)
FROM devices_reading
WHERE topic = %(topic)s AND path = ANY(%(paths)s) AND at > %(since)s AND at <= %(until)s
GROUP BY stretch ORDER BY stretch
"""
LAST = """
SELECT value, at FROM devices_reading
WHERE topic = %(topic)s AND path = ANY(%(paths)s) AND at > %(since)s AND at <= %(until)s
ORDER BY at DESC LIMIT 1
"""
