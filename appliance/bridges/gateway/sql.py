"""Named SQL of the messages to programs. One lies in the table of the box's own chats, and is open as long as its item
of the outbox is."""

# `any` is everybody's who may chat; else it is one token's, as its principal is called behind the colon.
MAY_CHAT = """
SELECT 1 FROM accounts_apitoken t JOIN accounts_user u ON u.id = t.user_id AND u.is_active
WHERE u.username || '/' || t.name = %(name)s AND t.revoked_at IS NULL
    AND (t.expires_at IS NULL OR t.expires_at > %(now)s) AND t.scopes @> '["chat"]'::jsonb
"""

ACKED = "SELECT acked_at, acked_by FROM bridges_message WHERE item_id = %(item_id)s AND acked_at IS NOT NULL"

_OPEN = """
FROM bridges_message m JOIN outbox_item o ON o.id = m.item_id AND o.state IN ('pending', 'sending')
WHERE m.platform = %(platform)s AND m.conversation = ANY(%(conversations)s)
"""

OPEN = f"""
SELECT m.item_id, m.conversation, m.created_at, m.title, m.text, m.buttons::text, m.run_id {_OPEN}
    AND m.acked_at IS NULL ORDER BY m.id LIMIT %(limit)s
"""

ACK = f"""
UPDATE bridges_message SET acked_at = %(now)s, acked_by = %(by)s
WHERE acked_at IS NULL AND id IN (SELECT m.id {_OPEN} AND m.item_id = %(item_id)s)
"""

IS_OURS = """
SELECT acked_at IS NOT NULL FROM bridges_message
WHERE platform = %(platform)s AND conversation = ANY(%(conversations)s) AND item_id = %(item_id)s
"""

# The acknowledgement may come while the message is on its way: then its row waits for the end of that attempt.
WAKE = """
WITH woken AS (
    UPDATE outbox_item SET next_at = NULL WHERE id = %(item_id)s AND state = 'pending' RETURNING id
)
SELECT pg_notify(%(channel)s, '') FROM woken
"""
