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
# The order names the column, not the text that is selected: as text 1000 comes before 999, which would lose what lies
# behind it, and no index gives that order, so that each page would sort all that is still unread.
READ_AFTER = """
SELECT e.xact::text, e.seq, e.at, e.type, e.subject, e.data::text FROM events_event e
WHERE (e.xact, e.seq) > (%s::xid8, %s) AND e.xact < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xact, e.seq LIMIT %s
"""

READ_TYPES_AFTER = """
SELECT e.xact::text, e.seq, e.at, e.type, e.subject, e.data::text FROM events_event e
WHERE (e.xact, e.seq) > (%s::xid8, %s) AND e.xact < %s::xid8 AND e.type = ANY(%s)
ORDER BY e.xact, e.seq LIMIT %s
"""

ANY_AFTER = "SELECT 1 FROM events_event WHERE (xact, seq) > (%s::xid8, %s) AND xact < %s::xid8 LIMIT 1"

LATEST = """
SELECT e.xact::text, e.seq, e.at, e.type, e.subject, e.data::text FROM events_event e
WHERE e.type = ANY(%s) AND e.at > now() - make_interval(secs => %s)
ORDER BY e.at DESC, e.seq DESC LIMIT %s
"""

HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"

# Of an empty journal only the sequence knows whether there has ever been something.
OLDEST = """
SELECT coalesce((SELECT e.seq FROM events_event e ORDER BY e.xact, e.seq LIMIT 1),
    pg_sequence_last_value(pg_get_serial_sequence('events_event', 'seq')) + 1)
WHERE NOT EXISTS (SELECT 1 FROM events_event e WHERE (e.xact, e.seq) <= (%s::xid8, %s))
"""
