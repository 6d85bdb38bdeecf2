"""Named SQL of digests. A stream is what is about the same on its way to one target: (platform, target, about)."""

STREAM_INDEX = """
CREATE INDEX outbox_item_stream ON outbox_item
    (platform, (coalesce(conversation, '')), about, priority DESC, seq)
    WHERE state IN ('pending', 'sending') AND about <> ''
"""

# Of a clock that was set back nothing rests longer: a digest that is yet to come is none. The number is `critical`.
RESTS = """EXISTS (
    SELECT 1 FROM outbox_digest d
    WHERE d.platform = o.platform AND d.target = coalesce(o.conversation, '') AND d.about = o.about
        AND d.sent_at <= %(now)s
        AND %(now)s < CASE WHEN o.priority >= 20 THEN d.urgent_until ELSE d.rest_until END)"""

# How many wait behind each head that was just claimed (counted up to what decides), and the digest before.
LOOK = """
SELECT s.id, h.seq, h.priority, h.created_at, line.waiting, line.lapsed,
    d.since, d.item_id, d.begun_at, d.sent_at, d.rest_until, d.told, d.steps, d.expired, d.expired_told
FROM unnest(%(ids)s::uuid[], %(platforms)s::text[], %(targets)s::text[], %(abouts)s::text[])
    AS s(id, platform, target, about)
JOIN outbox_item h ON h.id = s.id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE found.state = 'pending') AS waiting,
        count(*) FILTER (WHERE found.state = 'sending') AS lapsed
    FROM (
        SELECT o.state FROM outbox_item o
        WHERE o.state IN ('pending', 'sending') AND o.about <> '' AND o.platform = s.platform AND NOT o.let_through
            AND coalesce(o.conversation, '') = s.target AND o.about = s.about AND o.expires_at > %(now)s
            AND (o.state = 'pending' OR o.lease_until < %(now)s)
        LIMIT %(limit)s) found
) line
LEFT JOIN outbox_digest d ON d.platform = s.platform AND d.target = s.target AND d.about = s.about
"""

# All that waits of these streams, also what was put off: whoever may speak now says it all. A lease that ended is
# of a sender that died with a digest in its hands. What a person wants now goes by itself, as nothing may hold it.
TAKE = """
WITH taken AS (
    SELECT found.id FROM unnest(%(platforms)s::text[], %(targets)s::text[], %(abouts)s::text[])
        AS s(platform, target, about)
    CROSS JOIN LATERAL (
        SELECT o.id FROM outbox_item o
        WHERE o.state IN ('pending', 'sending') AND o.about <> '' AND o.platform = s.platform AND NOT o.let_through
            AND coalesce(o.conversation, '') = s.target AND o.about = s.about AND o.expires_at > %(now)s
            AND (o.state = 'pending' OR o.lease_until < %(now)s)
        ORDER BY o.priority DESC, o.seq LIMIT %(limit)s FOR UPDATE SKIP LOCKED) found
)
UPDATE outbox_item o
SET state = 'sending', epoch = o.epoch + 1, attempts = o.attempts + 1, lease_owner = %(owner)s,
    lease_until = %(now)s + %(lease)s, repeat_possible = o.repeat_possible OR o.state = 'sending'
FROM taken WHERE o.id = taken.id
RETURNING o.platform, coalesce(o.conversation, '') AS target, o.about, o.id, o.epoch, o.run_id, o.step_id, o.reason,
    o.seq, o.priority, o.created_at, o.attempts, o.repeat_possible OR o.parts_done > 0 AS may_repeat
"""

LEADS = "SELECT id, key, message FROM outbox_item WHERE id = ANY(%(ids)s)"

FINISH_ALL = """
UPDATE outbox_item o
SET state = %(state)s, reason = %(reason)s, receipt = %(receipt)s, finished_at = %(now)s,
    told = o.run_id IS NULL, lease_owner = '', lease_until = NULL, next_at = NULL
FROM unnest(%(ids)s::uuid[], %(epochs)s::int[]) AS mine(id, epoch)
WHERE o.id = mine.id AND o.epoch = mine.epoch AND o.state = 'sending'
RETURNING o.id
"""

# Parts that arrived are of these words; at the next attempt others may stand there. So all of it may come twice.
POSTPONE_ALL = """
UPDATE outbox_item o
SET state = 'pending', reason = %(reason)s, next_at = %(next_at)s, lease_owner = '', lease_until = NULL,
    attempts = o.attempts - %(refund)s, repeat_possible = o.repeat_possible OR %(maybe_sent)s
FROM unnest(%(ids)s::uuid[], %(epochs)s::int[]) AS mine(id, epoch)
WHERE o.id = mine.id AND o.epoch = mine.epoch AND o.state = 'sending'
RETURNING o.id
"""

# What expired while the digest was on its way is for the next one.
DIGESTED = """
INSERT INTO outbox_digest AS d (platform, target, about, since, item_id, begun_at, sent_at, rest_until, urgent_until,
    told, steps, expired, expired_told)
VALUES (%(platform)s, %(target)s, %(about)s, %(since)s, %(item_id)s, %(begun_at)s, %(sent_at)s, %(rest_until)s,
    %(urgent_until)s, %(told)s, %(steps)s, 0, %(expired_told)s)
ON CONFLICT (platform, target, about) DO UPDATE SET since = excluded.since, item_id = excluded.item_id,
    begun_at = excluded.begun_at, sent_at = excluded.sent_at, rest_until = excluded.rest_until,
    urgent_until = excluded.urgent_until, told = excluded.told, steps = excluded.steps,
    expired = greatest(0, d.expired - %(expired)s), expired_told = excluded.expired_told
"""

FORGET = "DELETE FROM outbox_digest WHERE sent_at < %(before)s AND expired = 0"

EXPIRED = """
INSERT INTO outbox_digest AS d (platform, target, about, told, steps, expired, expired_told)
SELECT platform, target, about, 0, 0, count(*), 0
FROM unnest(%(platforms)s::text[], %(targets)s::text[], %(abouts)s::text[]) AS gone(platform, target, about)
WHERE about <> '' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (platform, target, about) DO UPDATE SET expired = d.expired + excluded.expired
"""
