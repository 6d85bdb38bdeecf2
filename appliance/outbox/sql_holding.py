"""Named SQL of what waits for a better time. A held item is out of its target's line: the claim does not see it."""

# What is told when the hold ends has as long for it as any message; what its author gave a time keeps that.
_HELD = """
state = 'held', reason = %(reason)s, next_at = %(until)s, lease_owner = '', lease_until = NULL,
    expires_at = CASE WHEN o.expiry_given THEN o.expires_at
        ELSE greatest(o.expires_at, %(until)s::timestamptz + interval '24 hours') END
"""

# Nothing was tried, so it was no attempt.
HOLD = f"""
UPDATE outbox_item o SET {_HELD}, attempts = o.attempts - 1
WHERE o.id = %(id)s AND o.epoch = %(epoch)s AND o.state = 'sending'
"""

# The rest of what was taken together, to be told as one.
HOLD_FOLD = f"""
UPDATE outbox_item o SET {_HELD}, attempts = o.attempts - 1
FROM unnest(%(ids)s::uuid[], %(epochs)s::int[]) AS mine(id, epoch)
WHERE o.id = mine.id AND o.epoch = mine.epoch AND o.state = 'sending' RETURNING o.id
"""

# All that waits behind it and would be held as well, so that each is not claimed for that.
HOLD_ALIKE = f"""
UPDATE outbox_item o SET {_HELD}
FROM (
    SELECT id, reason FROM outbox_item
    WHERE state = 'pending' AND platform = %(platform)s AND coalesce(conversation, '') = %(conversation)s
        AND about <> '' AND NOT let_through AND parts_done = 0 AND priority < %(below)s
        AND (%(about)s = '' OR about = %(about)s OR starts_with(about, %(about)s || '/'))
    ORDER BY priority DESC, seq LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) line WHERE o.id = line.id
RETURNING o.id, o.platform, o.run_id, o.step_id, line.reason AS reason_before
"""

RELEASE_DUE = """
UPDATE outbox_item SET state = 'pending', reason = '', next_at = NULL WHERE state = 'held' AND next_at <= %(now)s
"""

# What still has a reason to be held is held again by the sender. An item without a conversation goes to the
# platform's default one, whichever that is.
RELEASE = """
WITH released AS (
    UPDATE outbox_item SET state = 'pending', next_at = NULL
    WHERE state = 'held' AND (%(platform)s = '' OR platform = %(platform)s)
        AND (%(conversation)s = '' OR coalesce(conversation, %(conversation)s) = %(conversation)s)
        AND (%(about)s = '' OR about = %(about)s OR starts_with(about, %(about)s || '/'))
    RETURNING id
)
SELECT count(*), pg_notify(%(channel)s, '') FROM released
"""

EXPIRE_HELD = """
UPDATE outbox_item
SET state = 'expired', finished_at = %(now)s, told = run_id IS NULL, epoch = epoch + 1, next_at = NULL,
    reason = left('expired while it was held: ' || reason, 1000)
WHERE id IN (
    SELECT id FROM outbox_item WHERE state = 'held' AND expires_at <= %(now)s
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id, platform, coalesce(conversation, '') AS target, about, run_id, step_id, reason
"""
