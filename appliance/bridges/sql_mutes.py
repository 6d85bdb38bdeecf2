"""Named SQL of mutes. One that has ended is no row any more; the audit record has it."""

# The role of whoever muted is looked at each time: without it the mute has ended. One that was made in the future is
# of another clock.
_HOLDS = """
    m.until > %(now)s AND m.made_at <= %(now)s + interval '1 minute'
    AND accounts_role_on(
        CASE split_part(m.by, ':', 1) WHEN 'user' THEN substr(m.by, 6)
            WHEN 'token' THEN split_part(substr(m.by, 7), '/', 1) END,
        CASE WHEN starts_with(m.about, 'task/') THEN split_part(m.about, '/', 2) END) = ANY(%(roles)s)
"""

HOLDING = f"""
SELECT m.until, m.by, m.about FROM bridges_mute m
WHERE m.platform = %(platform)s AND m.conversation = %(conversation)s
    AND (m.about = %(about)s OR starts_with(%(about)s, m.about || '/')) AND {_HOLDS}
ORDER BY m.until DESC LIMIT 1
"""

# The same command, handled a second time, changes nothing.
SET = """
WITH earlier AS (
    SELECT until FROM bridges_mute
    WHERE platform = %(platform)s AND conversation = %(conversation)s AND about = %(about)s
)
INSERT INTO bridges_mute AS m (platform, conversation, about, until, by, made_at)
VALUES (%(platform)s, %(conversation)s, %(about)s, %(until)s, %(by)s, %(now)s)
ON CONFLICT (platform, conversation, about) DO UPDATE
SET until = excluded.until, by = excluded.by, made_at = excluded.made_at
WHERE (m.until, m.by, m.made_at) IS DISTINCT FROM (excluded.until, excluded.by, excluded.made_at)
RETURNING (SELECT until FROM earlier)
"""

END = """
DELETE FROM bridges_mute WHERE id = %(id)s RETURNING platform, conversation, about, by
"""

END_HERE = """
DELETE FROM bridges_mute
WHERE platform = %(platform)s AND conversation = %(conversation)s AND (%(about)s = '' OR about = %(about)s)
RETURNING platform, conversation, about, by
"""

END_OF_PLATFORM = "DELETE FROM bridges_mute WHERE platform = %(platform)s"

END_OVER = f"""
DELETE FROM bridges_mute m WHERE NOT coalesce(({_HOLDS}), false)
RETURNING m.platform, m.conversation, m.about, m.until <= %(now)s
"""

LISTED = """
SELECT id, platform, conversation, about, until, by, made_at, (
    SELECT count(*) FROM outbox_item o
    WHERE o.state = 'held' AND o.platform = m.platform
        AND coalesce(o.conversation, m.conversation) = m.conversation
        AND (o.about = m.about OR starts_with(o.about, m.about || '/'))) AS held
FROM bridges_mute m
WHERE until > %(now)s AND (%(platform)s = '' OR platform = %(platform)s)
    AND (%(conversation)s = '' OR conversation = %(conversation)s)
ORDER BY until, id LIMIT %(limit)s
"""

# A receipt names the conversation that a message without one went to.
LAST_ABOUT = """
SELECT about FROM outbox_item
WHERE platform = %(platform)s AND id >= %(since)s AND state = 'delivered' AND about <> ''
    AND coalesce(receipt ->> 'conversation', conversation) = %(conversation)s
ORDER BY id DESC LIMIT 1
"""

PLATFORM_SAYS = "SELECT config -> 'quiet', default_conversation FROM bridges_platform WHERE name = %(name)s"
