"""Named SQL of messages whose question is settled."""

_THESE = "id = ANY(%(ids)s::uuid[])"
_BEGUN_WITH = "id >= %(first)s AND id < %(end)s AND starts_with(key, %(prefix)s)"

# Never one of a run: its step waits to hear what became of it.
_WITHDRAW = """
UPDATE outbox_item SET state = 'expired', finished_at = %(now)s, told = true,
    reason = 'it was settled before it was sent'
WHERE state = 'pending' AND attempts = 0 AND run_id IS NULL AND message ? 'asks' AND """

_SENT = """
SELECT id, key, platform, conversation, message -> 'asks' ->> 'text',
    message -> 'asks' ->> 'language', priority FROM outbox_item
WHERE state IN ('pending', 'sending', 'delivered') AND message ? 'asks' AND """

WITHDRAW_THESE = _WITHDRAW + _THESE
WITHDRAW_BEGUN_WITH = _WITHDRAW + _BEGUN_WITH
THESE = _SENT + _THESE + " ORDER BY seq"
BEGUN_WITH = _SENT + _BEGUN_WITH + " ORDER BY seq"
