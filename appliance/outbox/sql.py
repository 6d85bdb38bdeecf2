"""Named SQL of the outbox. Every write to a claimed row is conditional on its epoch, the fencing token."""

from appliance.outbox.sql_folding import RESTS

HINT_CHANNEL = "millwright_outbox"

# The sequence is the order of one target's messages; identifiers carry the run's time, not the item's.
CREATE = """
CREATE SEQUENCE outbox_item_order;
CREATE TABLE outbox_item (
    id uuid PRIMARY KEY,
    seq bigint NOT NULL DEFAULT nextval('outbox_item_order'),
    key varchar(300) NOT NULL,
    platform varchar(64) NOT NULL,
    conversation varchar(200),
    message jsonb NOT NULL,
    run_id uuid,
    step_id varchar(100) NOT NULL DEFAULT '',
    priority smallint NOT NULL DEFAULT 0,
    state varchar(10) NOT NULL DEFAULT 'pending',
    reason varchar(1000) NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0,
    parts_done smallint NOT NULL DEFAULT 0,
    repeat_possible boolean NOT NULL DEFAULT false,
    epoch integer NOT NULL DEFAULT 0,
    lease_owner varchar(100) NOT NULL DEFAULT '',
    lease_until timestamptz,
    next_at timestamptz,
    expires_at timestamptz NOT NULL,
    receipt jsonb,
    told boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX outbox_item_open ON outbox_item (platform, (coalesce(conversation, '')), seq)
    WHERE state IN ('pending', 'sending');
CREATE INDEX outbox_item_untold ON outbox_item (id)
    WHERE NOT told AND state IN ('delivered', 'failed', 'expired');
CREATE INDEX outbox_item_state ON outbox_item (state, id DESC);
"""

CREATE_PLATFORM = "CREATE INDEX outbox_item_platform ON outbox_item (platform, id DESC)"

# What a message is about, where several of one kind may be told together: `task/overheat/tell`, `alert/locked-out`.
ADD_ABOUT = "ALTER TABLE outbox_item ADD COLUMN about varchar(200) NOT NULL DEFAULT ''"

# `expiry_given`: its author said how long it is wanted, so no hold makes it longer. `let_through`: a person wants it
# now, so nothing holds it any more.
ADD_HELD = """
ALTER TABLE outbox_item ADD COLUMN expiry_given boolean NOT NULL DEFAULT false,
    ADD COLUMN let_through boolean NOT NULL DEFAULT false;
CREATE INDEX outbox_item_held ON outbox_item (platform, (coalesce(conversation, '')), next_at) WHERE state = 'held';
"""

DROP_HELD = """
UPDATE outbox_item SET state = 'pending', next_at = NULL WHERE state = 'held';
DROP INDEX outbox_item_held;
ALTER TABLE outbox_item DROP COLUMN expiry_given, DROP COLUMN let_through;
"""

DROP = "DROP TABLE outbox_item; DROP SEQUENCE outbox_item_order"

# The two lookups of a target's head, each from the end of an index.
QUEUE_INDEXES = """
CREATE INDEX outbox_item_queue ON outbox_item (platform, (coalesce(conversation, '')), priority DESC, seq)
    WHERE state = 'pending';
CREATE INDEX outbox_item_sending ON outbox_item (platform, (coalesce(conversation, '')), seq)
    WHERE state = 'sending';
"""

DROP_QUEUE_INDEXES = "DROP INDEX outbox_item_queue; DROP INDEX outbox_item_sending"

# The same key again: nothing while it is under way; a failed one is opened again (its step is retried);
# of a delivered one only the listener is told again.
ENQUEUE = """
WITH put AS (
    INSERT INTO outbox_item (id, key, platform, conversation, message, run_id, step_id, priority, about,
        expiry_given, expires_at)
    VALUES (%(id)s, %(key)s, %(platform)s, %(conversation)s, %(message)s, %(run_id)s, %(step_id)s,
        %(priority)s, %(about)s, %(expires_at)s::timestamptz IS NOT NULL,
        coalesce(%(expires_at)s, now() + interval '24 hours'))
    ON CONFLICT (id) DO UPDATE SET
        state = CASE outbox_item.state WHEN 'delivered' THEN 'delivered' ELSE 'pending' END,
        reason = '', next_at = NULL, told = false, expires_at = excluded.expires_at, let_through = false,
        finished_at = CASE outbox_item.state WHEN 'delivered' THEN outbox_item.finished_at END
    WHERE outbox_item.state IN ('delivered', 'failed', 'expired')
    RETURNING id
)
SELECT pg_notify(%(channel)s, '') FROM put
"""

# Targets are found by skipping from one to the next through the partial index, so that a long queue costs no
# more than its number of targets. Of each target one item is looked at: the one under way, else the most urgent,
# and of equals the oldest. Only that one may be claimed, so a target has one message under way at a time.
# A kind whose next digest rests is passed over, but for what a person wants now.
CLAIM = f"""
WITH RECURSIVE targets AS (
    (SELECT platform, coalesce(conversation, '') AS target FROM outbox_item
     WHERE state IN ('pending', 'sending') ORDER BY 1, 2 LIMIT 1)
    UNION ALL
    SELECT following.platform, following.target FROM targets t, LATERAL (
        SELECT o.platform, coalesce(o.conversation, '') AS target FROM outbox_item o
        WHERE o.state IN ('pending', 'sending')
            AND (o.platform, coalesce(o.conversation, '')) > (t.platform, t.target)
        ORDER BY 1, 2 LIMIT 1) following
), heads AS (
    SELECT t.platform, head.* FROM targets t, LATERAL (
        (SELECT o.id, o.seq, o.priority, o.state, o.next_at, o.lease_until, 0 AS place FROM outbox_item o
         WHERE o.state = 'sending' AND o.platform = t.platform AND coalesce(o.conversation, '') = t.target
         ORDER BY o.seq LIMIT 1)
        UNION ALL
        (SELECT o.id, o.seq, o.priority, o.state, o.next_at, o.lease_until, 1 AS place FROM outbox_item o
         WHERE o.state = 'pending' AND o.platform = t.platform AND coalesce(o.conversation, '') = t.target
            AND (o.about = '' OR o.let_through OR NOT {RESTS})
         ORDER BY o.priority DESC, o.seq LIMIT 1)
        ORDER BY place LIMIT 1) head
    WHERE NOT t.platform = ANY(%(resting)s)
        AND NOT t.platform || chr(31) || t.target = ANY(%(held)s)
), ranked AS (
    SELECT platform, id, priority, seq,
        row_number() OVER (PARTITION BY platform ORDER BY priority DESC, seq) AS rank
    FROM heads
    WHERE (state = 'pending' AND (next_at IS NULL OR next_at <= %(now)s))
        OR (state = 'sending' AND lease_until < %(now)s)
), chosen AS (
    SELECT r.id FROM ranked r
    LEFT JOIN unnest(%(platforms)s::text[], %(rooms)s::int[]) AS room(platform, free) USING (platform)
    WHERE r.rank <= coalesce(room.free, %(per_platform)s)
    ORDER BY r.priority DESC, r.seq LIMIT %(limit)s
), due AS (
    SELECT o.id FROM outbox_item o
    WHERE o.id IN (SELECT id FROM chosen)
        AND o.expires_at > %(now)s
        AND ((o.state = 'pending' AND (o.next_at IS NULL OR o.next_at <= %(now)s))
            OR (o.state = 'sending' AND o.lease_until < %(now)s))
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox_item o
SET state = 'sending', epoch = o.epoch + 1, attempts = o.attempts + 1, lease_owner = %(owner)s,
    lease_until = %(now)s + %(lease)s, repeat_possible = o.repeat_possible OR o.state = 'sending'
FROM due WHERE o.id = due.id
RETURNING o.id, o.key, o.platform, o.conversation, o.message, o.attempts AS attempt, o.parts_done,
    o.repeat_possible, o.run_id, o.step_id, CASE WHEN o.let_through THEN '' ELSE o.about END AS about,
    o.priority, o.epoch, o.reason
"""

RENEW = """
UPDATE outbox_item o SET lease_until = %(now)s + %(lease)s
FROM unnest(%(ids)s::uuid[], %(epochs)s::int[]) AS mine(id, epoch)
WHERE o.id = mine.id AND o.epoch = mine.epoch AND o.state = 'sending'
"""

# Pauses and leases from before the clock was set back: what waited is due, and no lease is longer than any is now.
CLOCK_SET_BACK = """
UPDATE outbox_item SET next_at = NULL, lease_until = least(lease_until, %(now)s + %(lease)s)
WHERE state IN ('pending', 'sending') AND (next_at IS NOT NULL OR lease_until > %(now)s + %(lease)s)
"""

FINISH = """
UPDATE outbox_item
SET state = %(state)s, reason = %(reason)s, receipt = %(receipt)s, finished_at = %(now)s,
    told = run_id IS NULL, lease_owner = '', lease_until = NULL, next_at = NULL
WHERE id = %(id)s AND epoch = %(epoch)s AND state = 'sending'
"""

POSTPONE = """
UPDATE outbox_item
SET state = 'pending', reason = %(reason)s, next_at = %(next_at)s, lease_owner = '', lease_until = NULL,
    parts_done = greatest(parts_done, %(parts_done)s), attempts = attempts - %(refund)s,
    repeat_possible = repeat_possible OR %(maybe_sent)s
WHERE id = %(id)s AND epoch = %(epoch)s AND state = 'sending'
"""

# A row whose lease ran out may have been delivered by a process that died: it says so.
EXPIRE = """
UPDATE outbox_item
SET state = 'expired', finished_at = %(now)s, told = run_id IS NULL, lease_owner = '', lease_until = NULL,
    epoch = epoch + 1, repeat_possible = repeat_possible OR state = 'sending',
    reason = left('expired' || CASE WHEN state = 'sending' THEN ', may have been delivered' ELSE '' END
        || CASE WHEN reason <> '' THEN ': ' || reason ELSE '' END, 1000)
WHERE id IN (
    SELECT id FROM outbox_item
    WHERE state IN ('pending', 'sending') AND expires_at <= %(now)s
        AND (state = 'pending' OR lease_until < %(now)s)
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id, platform, coalesce(conversation, '') AS target, about, run_id, step_id, reason
"""

UNTOLD = """
SELECT id, run_id, step_id, state, reason, receipt FROM outbox_item
WHERE NOT told AND state IN ('delivered', 'failed', 'expired') ORDER BY id LIMIT %(limit)s
"""

TOLD = """
UPDATE outbox_item o SET told = true
FROM unnest(%(ids)s::uuid[], %(states)s::text[]) AS heard(id, state)
WHERE o.id = heard.id AND o.state = heard.state
"""

WAKE_PLATFORM = """
WITH woken AS (
    UPDATE outbox_item SET next_at = NULL
    WHERE state = 'pending' AND platform = %(platform)s AND next_at IS NOT NULL RETURNING id
)
SELECT count(*), pg_notify(%(channel)s, '') FROM woken
"""

RETRY = """
WITH opened AS (
    UPDATE outbox_item
    SET state = 'pending', reason = '', next_at = NULL, told = false, finished_at = NULL, let_through = true,
        expires_at = greatest(expires_at, now() + interval '24 hours')
    WHERE id = %(id)s AND state IN ('pending', 'held', 'failed', 'expired') RETURNING id, platform, run_id, step_id
)
SELECT platform, run_id, step_id, pg_notify(%(channel)s, '') FROM opened
"""

CANCEL = """
UPDATE outbox_item SET state = 'failed', reason = %(reason)s, finished_at = now(), told = run_id IS NULL,
    next_at = NULL
WHERE id = %(id)s AND state IN ('pending', 'held') RETURNING platform, run_id, step_id
"""

# The place in its target's line is counted up to 100: that is one short walk along the index of open items a row.
LISTED = """
SELECT o.*, CASE WHEN o.state IN ('pending', 'sending') THEN (
    SELECT count(*) FROM (
        SELECT 1 FROM outbox_item p
        WHERE p.state IN ('pending', 'sending') AND p.platform = o.platform
            AND coalesce(p.conversation, '') = coalesce(o.conversation, '')
            AND (p.state = 'sending' OR (-p.priority, p.seq) <= (-o.priority, o.seq))
        LIMIT 100) line) END AS place
FROM outbox_item o
WHERE (%(states)s::text[] IS NULL OR o.state = ANY(%(states)s::text[]))
    AND (%(platform)s::text IS NULL OR o.platform = %(platform)s)
    AND (%(before)s::uuid IS NULL OR o.id < %(before)s)
ORDER BY o.id DESC LIMIT %(limit)s
"""

# The head of a line is what its target waits for. Each state by itself, so that each is read from its own index.
TARGETS = """
SELECT t.platform, t.conversation, t.waiting, t.held, t.since, h.state, h.next_at, h.reason
FROM (
    SELECT platform, conversation, sum(waiting)::bigint AS waiting, sum(held)::bigint AS held, min(since) AS since
    FROM (
        SELECT platform, coalesce(conversation, '') AS conversation, count(*) AS waiting, 0 AS held,
            min(created_at) AS since
        FROM outbox_item WHERE state IN ('pending', 'sending') GROUP BY 1, 2
        UNION ALL
        SELECT platform, coalesce(conversation, ''), 0, count(*), min(created_at)
        FROM outbox_item WHERE state = 'held' GROUP BY 1, 2
    ) counted GROUP BY 1, 2
    ORDER BY 3 DESC, 4 DESC, 1, 2 LIMIT %(limit)s
) t
JOIN LATERAL (
    (SELECT o.state, o.next_at, o.reason FROM outbox_item o
    WHERE o.state IN ('pending', 'sending') AND o.platform = t.platform
        AND coalesce(o.conversation, '') = t.conversation
    ORDER BY o.state DESC, o.priority DESC, o.seq LIMIT 1)  -- 'sending' before 'pending'
    UNION ALL
    (SELECT o.state, o.next_at, o.reason FROM outbox_item o
    WHERE t.waiting = 0 AND o.state = 'held' AND o.platform = t.platform
        AND coalesce(o.conversation, '') = t.conversation
    ORDER BY o.next_at LIMIT 1)
    LIMIT 1
) h ON true
ORDER BY t.since
"""

COUNTS = """
SELECT platform, count(*) FILTER (WHERE NOT held), count(*) FILTER (WHERE held) FROM (
    SELECT platform, false AS held FROM outbox_item WHERE state IN ('pending', 'sending')
    UNION ALL SELECT platform, true FROM outbox_item WHERE state = 'held') open GROUP BY 1 ORDER BY 1
"""

OVERDUE = """
SELECT id FROM outbox_item
WHERE state IN ('pending', 'sending') AND (
    expires_at < %(before)s OR (state = 'sending' AND lease_until < %(before)s))
UNION ALL
SELECT id FROM outbox_item WHERE state = 'held' AND least(expires_at, next_at) < %(before)s
ORDER BY id LIMIT 100
"""

BREAKERS = "SELECT platform, failures, open_until FROM outbox_outboxtarget"

# The breaker is the sender's; the counters only grow.
TOOK = """
INSERT INTO outbox_outboxtarget AS t (platform, failures, open_until, reason, delivered, failed, postponed, expired,
    last_delivered_at, last_failed_at)
VALUES (%(platform)s, %(failures)s, %(open_until)s, %(reason)s, %(delivered)s, %(failed)s, %(postponed)s, 0,
    CASE WHEN %(delivered)s > 0 THEN %(now)s::timestamptz END,
    CASE WHEN %(delivered)s = 0 THEN %(now)s::timestamptz END)
ON CONFLICT (platform) DO UPDATE SET failures = excluded.failures, open_until = excluded.open_until,
    reason = excluded.reason, delivered = t.delivered + excluded.delivered, failed = t.failed + excluded.failed,
    postponed = t.postponed + excluded.postponed,
    last_delivered_at = coalesce(excluded.last_delivered_at, t.last_delivered_at),
    last_failed_at = coalesce(excluded.last_failed_at, t.last_failed_at)
"""

COUNT_EXPIRED = """
INSERT INTO outbox_outboxtarget AS t (platform, failures, reason, delivered, failed, postponed, expired)
SELECT platform, 0, '', 0, 0, 0, count(*) FROM unnest(%(platforms)s::text[]) AS gone(platform) GROUP BY 1 ORDER BY 1
ON CONFLICT (platform) DO UPDATE SET expired = t.expired + excluded.expired
"""

STATISTICS = """
WITH open AS (
    SELECT platform, count(*) FILTER (WHERE state = 'pending') AS waiting,
        count(*) FILTER (WHERE state = 'pending' AND priority > 0) AS urgent,
        count(*) FILTER (WHERE state = 'sending') AS sending,
        count(DISTINCT coalesce(conversation, '')) AS conversations,
        min(created_at) AS oldest_at, min(expires_at) AS expires_at
    FROM outbox_item WHERE state IN ('pending', 'sending') GROUP BY 1
), held AS (
    SELECT platform, count(*) AS held FROM outbox_item WHERE state = 'held' GROUP BY 1
)
SELECT platform, coalesce(o.waiting, 0), coalesce(o.urgent, 0), coalesce(o.sending, 0),
    coalesce(o.conversations, 0), o.oldest_at, o.expires_at, coalesce(t.failures, 0), t.open_until,
    coalesce(t.reason, ''), n.state, coalesce(t.delivered, 0), coalesce(t.failed, 0), coalesce(t.expired, 0),
    coalesce(t.postponed, 0), t.last_delivered_at, t.last_failed_at, coalesce(h.held, 0)
FROM open o FULL JOIN outbox_outboxtarget t USING (platform) FULL JOIN held h USING (platform)
LEFT JOIN outbox_networktarget n ON n.name = platform AND n.kind = 'platform'
ORDER BY 1
"""
