"""Named SQL of the journal."""

# The order of the journal is (xact, seq): a sequence number alone may become visible out of order, because
# a transaction that drew a smaller one can commit later.
CREATE = """
CREATE TABLE events_event (
    xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    type text NOT NULL,
    subject text NOT NULL,
    data jsonb NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX events_event_order ON events_event (xact, seq);
CREATE INDEX events_event_subject ON events_event (subject, seq);
"""

DROP = "DROP TABLE events_event"

RECORD = """
INSERT INTO events_event (type, subject, data)
SELECT type, subject, data::jsonb
FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS new(type, subject, data, n)
ORDER BY n
"""

# Only what every older transaction can no longer precede: below the oldest transaction still in progress.
READ_AFTER = """
SELECT xact::text, seq, at, type, subject, data::text FROM events_event
WHERE (xact, seq) > (%s::xid8, %s) AND xact < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xact, seq LIMIT %s
"""

READ_TYPES_AFTER = """
SELECT xact::text, seq, at, type, subject, data::text FROM events_event
WHERE (xact, seq) > (%s::xid8, %s) AND xact < %s::xid8 AND type = ANY(%s)
ORDER BY xact, seq LIMIT %s
"""

ANY_AFTER = "SELECT 1 FROM events_event WHERE (xact, seq) > (%s::xid8, %s) AND xact < %s::xid8 LIMIT 1"

LATEST = """
SELECT xact::text, seq, at, type, subject, data::text FROM events_event
WHERE type = ANY(%s) AND at > now() - make_interval(secs => %s)
ORDER BY at DESC, seq DESC LIMIT %s
"""

HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
