"""Named SQL of the bridges: the reactor's side of their tables."""

HINT_CHANNEL = "millwright_bridges"

PLATFORMS = """
SELECT id, name, kind, config, revision FROM bridges_platform WHERE enabled ORDER BY name
"""

DEFAULT_CONVERSATION = "SELECT default_conversation FROM bridges_platform WHERE name = %(name)s"

# Not deaf is a platform that somebody has yet to set up, or that the all-stop cut off. One that answered once and now
# waits for somebody (its token was revoked) is.
HEALTH = """
UPDATE bridges_platform SET health = %(health)s, health_at = %(now)s,
    answered_at = CASE WHEN %(state)s = 'ok' THEN %(now)s::timestamptz ELSE answered_at END,
    round_trip_ms = CASE WHEN %(state)s = 'ok' THEN %(round_trip_ms)s::float8 ELSE round_trip_ms END,
    deaf_since = CASE WHEN %(state)s = 'away'
        OR %(state)s = 'waiting' AND NOT %(deliberate)s AND answered_at IS NOT NULL
        THEN coalesce(deaf_since, %(now)s::timestamptz) END
WHERE name = %(name)s RETURNING deaf_since, deaf_told
"""

DEAF_TOLD = "UPDATE bridges_platform SET deaf_told = %(told)s WHERE name = %(name)s AND deaf_told <> %(told)s"

# The same update may be given twice: the first one counts.
RECEIVE = """
INSERT INTO bridges_inbound (bridge, event_id, payload, state, attempts, error, received_at)
SELECT %(bridge)s, event_id, payload::jsonb, 'received', 0, '', %(now)s
FROM unnest(%(ids)s::text[], %(payloads)s::text[]) WITH ORDINALITY AS new(event_id, payload, n) ORDER BY n
ON CONFLICT (bridge, event_id) DO NOTHING
"""

SAVE_CURSOR = """
UPDATE bridges_platform SET cursor = %(cursor)s, cursor_at = %(now)s WHERE name = %(name)s
"""

CURSOR = "SELECT cursor, cursor_at FROM bridges_platform WHERE name = %(name)s"

OPEN_INBOUND = """
SELECT id, bridge, event_id, payload, attempts, received_at FROM bridges_inbound
WHERE state = 'received' AND (next_at IS NULL OR next_at <= %(now)s)
    AND bridge = ANY(%(bridges)s) AND NOT id = ANY(%(busy)s)
ORDER BY id LIMIT %(limit)s
"""

# Only once: a second reactor that handled the same event meanwhile finds no row and rolls its replies back.
HANDLED = """
UPDATE bridges_inbound SET state = %(state)s, error = %(error)s, handled_at = %(now)s
WHERE id = %(id)s AND state = 'received'
"""

PUT_OFF = """
UPDATE bridges_inbound SET attempts = attempts + 1, error = %(error)s, next_at = %(next_at)s
WHERE id = %(id)s AND state = 'received'
"""

PERSON_OF = """
SELECT u.id, u.username, u.language, i.linked_by FROM bridges_chatidentity i
JOIN accounts_user u ON u.id = i.person_id AND u.is_active
WHERE i.platform = %(platform)s AND i.user_id = %(user_id)s
"""

PERSON_BY_ID = "SELECT id, username, language, '' FROM accounts_user WHERE id = %(id)s AND is_active"

IS_PERSON = "SELECT 1 FROM accounts_user WHERE username = %(username)s AND is_active"

# A flood of strangers must not fill the table: beyond the limit only known rows are updated.
SEEN = """
INSERT INTO bridges_chatidentity
    (platform, user_id, display_name, last_conversation, first_seen, last_seen, refused)
SELECT %(platform)s::varchar, %(user_id)s::varchar, %(name)s, %(conversation)s, %(now)s::timestamptz,
    %(now)s::timestamptz, %(refused)s
WHERE EXISTS (SELECT 1 FROM bridges_chatidentity WHERE platform = %(platform)s AND user_id = %(user_id)s)
    OR %(most)s > (
        SELECT count(*) FROM bridges_chatidentity WHERE platform = %(platform)s AND person_id IS NULL)
ON CONFLICT (platform, user_id) DO UPDATE SET
    display_name = excluded.display_name, last_seen = excluded.last_seen,
    last_conversation = coalesce(
        nullif(excluded.last_conversation, ''), bridges_chatidentity.last_conversation),
    refused = bridges_chatidentity.refused + excluded.refused
"""

ADOPT_CONVERSATION = """
UPDATE bridges_platform SET default_conversation = %(conversation)s
WHERE name = %(name)s AND default_conversation = ''
RETURNING name
"""

SAY = """
INSERT INTO bridges_message
    (item_id, platform, conversation, inbound, author, title, text, buttons, files, run_id, created_at)
VALUES (%(item_id)s, %(platform)s, %(conversation)s, false, %(author)s, %(title)s, %(text)s, %(buttons)s, %(files)s,
    %(run_id)s, %(now)s)
ON CONFLICT (item_id) DO NOTHING
RETURNING id
"""

SAY_INSTEAD = """
UPDATE bridges_message SET title = %(title)s, text = %(text)s, buttons = %(buttons)s,
    files = CASE WHEN %(files)s::jsonb = '[]' THEN files ELSE %(files)s::jsonb END
WHERE id = %(id)s AND platform = %(platform)s AND NOT inbound RETURNING id
"""

SAID = "SELECT id FROM bridges_message WHERE item_id = %(item_id)s"

NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"

KEEP_BUTTON = """
INSERT INTO bridges_button (id, platform, item_id, data, expires_at, used_by)
VALUES (%(id)s, %(platform)s, %(item_id)s, %(data)s, %(expires_at)s, '') ON CONFLICT (id) DO NOTHING
"""

BUTTON = """
SELECT item_id, data FROM bridges_button
WHERE id = %(id)s AND platform = %(platform)s AND used_at IS NULL AND expires_at > %(now)s
"""

# All buttons of the message: whoever pressed first has decided.
USE_BUTTONS = """
UPDATE bridges_button SET used_at = %(now)s, used_by = %(by)s WHERE item_id = %(item_id)s AND used_at IS NULL
"""

KEEP_FILE = """
INSERT INTO bridges_file (id, name, media_type, content, created_at)
VALUES (%(id)s, %(name)s, %(media_type)s, %(content)s, %(now)s) ON CONFLICT (id) DO NOTHING
"""

FILES = "SELECT id, name, media_type, content FROM bridges_file WHERE id = ANY(%(ids)s)"

# Of the person who was last seen in this chat; the web admin's own are named after their person.
LANGUAGE_OF = """
SELECT u.language FROM accounts_user u LEFT JOIN bridges_chatidentity i
    ON i.person_id = u.id AND i.platform = %(platform)s AND i.last_conversation = %(conversation)s
WHERE i.id IS NOT NULL OR (%(platform)s = 'webchat' AND %(conversation)s IN (u.username, 'user:' || u.username))
ORDER BY i.last_seen DESC NULLS LAST LIMIT 1
"""

RECEIPT_OF = "SELECT receipt FROM outbox_item WHERE id = %(id)s AND state = 'delivered'"

# A try is counted before the code is looked at; after too many in an hour none is.
TRY_PAIRING = """
UPDATE bridges_chatidentity SET
    tries = CASE WHEN tried_at > %(since)s THEN tries + 1 ELSE 1 END,
    tried_at = CASE WHEN tried_at > %(since)s THEN tried_at ELSE %(now)s END
WHERE platform = %(platform)s AND user_id = %(user_id)s
    AND (tried_at IS NULL OR tried_at <= %(since)s OR tries < %(most)s)
RETURNING id
"""

PAIR = """
WITH used AS (
    DELETE FROM bridges_pairing WHERE digest = %(digest)s AND expires_at > %(now)s RETURNING person_id
), linked AS (
    UPDATE bridges_chatidentity i SET person_id = used.person_id, tries = 0, linked_by = 'user:' || u.username
    FROM used JOIN accounts_user u ON u.id = used.person_id AND u.is_active
    WHERE i.platform = %(platform)s AND i.user_id = %(user_id)s RETURNING i.person_id
)
SELECT u.username, u.role FROM linked JOIN accounts_user u ON u.id = linked.person_id
"""
