"""Named SQL of conversations: what a run is told, and what it leaves."""

# From the run of a step up to the one that a message has started: a shard's is its parent, a resumed one's is the one
# that it goes on from. ``root`` is the run that people see.
_UP = """
WITH RECURSIVE up AS (
    SELECT id, parent_run_id, split_id, forked_from, 0 AS depth FROM runs_run WHERE id = %(run_id)s
    UNION
    SELECT r.id, r.parent_run_id, r.split_id, r.forked_from, up.depth + 1 FROM up JOIN runs_run r
        ON r.id = CASE WHEN up.split_id IS NOT NULL THEN up.parent_run_id ELSE up.forked_from END
    WHERE up.depth < 20
)
"""

MESSAGE_OF_RUN = f"""{_UP}
SELECT m.id, m.conversation_id, m.at, m.told_after, m.told_upto, m.platform, m.place, c.kind, c.person, m.author,
    (SELECT principal FROM runs_run WHERE id = %(run_id)s) AS principal,
    (SELECT id FROM up WHERE split_id IS NULL ORDER BY depth LIMIT 1) AS root
FROM up JOIN agent_message m ON m.run_id = up.id AND m.speaker = 'person'
JOIN agent_conversation c ON c.id = m.conversation_id
ORDER BY up.depth LIMIT 1
"""

CONVERSATION_OF_RUN = f"""{_UP}
SELECT m.conversation_id FROM up JOIN agent_message m ON m.run_id = up.id AND m.speaker = 'person'
ORDER BY up.depth LIMIT 1
"""

# Once, when its first turn is asked: what is said later is told to no turn of this run.
FIX_BEFORE = """
UPDATE agent_message m SET told_after = c.fresh_after,
    told_upto = (SELECT max(b.id) FROM agent_message b WHERE b.conversation_id = m.conversation_id)
FROM agent_conversation c WHERE c.id = m.conversation_id AND m.id = %(id)s AND m.told_upto IS NULL
RETURNING m.told_after, m.told_upto
"""

# What people have said since waits for its own turn; what was answered meanwhile was said before this one begins.
_BEFORE = """
FROM agent_message WHERE conversation_id = %(conversation_id)s AND id > %(told_after)s AND id <= %(told_upto)s
    AND id <> %(id)s AND (speaker <> 'person' OR id < %(id)s)
"""
SAID_BEFORE = f"SELECT speaker, author, text, detail {_BEFORE} ORDER BY id DESC LIMIT %(most)s"
COUNT_BEFORE = f"SELECT count(*) {_BEFORE}"

# As it was when the message came: what is decided later counts from the next one on.
NOTES_BEFORE = """
SELECT text, standing FROM agent_note
WHERE state IN ('accepted', 'standing', 'ended') AND reviewed_at <= %(at)s AND (ended_at IS NULL OR ended_at > %(at)s)
    AND (scope = 'box' OR (scope = 'person' AND %(person)s <> '' AND person = %(person)s)
        OR (scope = 'room' AND conversation_id = %(conversation_id)s))
ORDER BY array_position(ARRAY['box', 'room', 'person'], scope::text), id
"""

# The second time it is there already.
KEEP = """
INSERT INTO agent_message (conversation_id, speaker, author, text, platform, place, outside, run_id, key, detail, at)
VALUES (%(conversation_id)s, %(speaker)s, %(author)s, %(text)s, %(platform)s, %(place)s, true, %(run_id)s, %(key)s,
    %(detail)s, %(at)s)
ON CONFLICT DO NOTHING RETURNING id
"""
TOUCH = "UPDATE agent_conversation SET last_at = greatest(last_at, %(at)s) WHERE id = %(conversation_id)s"

# Who has taken part in it: they may follow it.
PEOPLE = """
SELECT DISTINCT author FROM agent_message WHERE conversation_id = %(conversation_id)s AND speaker = 'person'
ORDER BY author LIMIT 50
"""

UNDER_WAY = """
SELECT r.id FROM agent_message m JOIN runs_run r ON r.id = m.run_id AND r.state IN ('queued', 'running', 'waiting')
WHERE m.conversation_id = %(conversation_id)s AND m.speaker = 'person' ORDER BY m.id LIMIT 1
"""

PRUNE = "DELETE FROM agent_message WHERE at < %(before)s"
PRUNE_NOTES = """
DELETE FROM agent_note WHERE state IN ('rejected', 'ended') AND coalesce(ended_at, reviewed_at) < %(before)s
"""
PRUNE_PROPOSED = "DELETE FROM agent_note WHERE state = 'proposed' AND created_at < %(before)s"
PRUNE_EMPTY = """
DELETE FROM agent_conversation c WHERE c.last_at < %(before)s
    AND NOT EXISTS (SELECT 1 FROM agent_message m WHERE m.conversation_id = c.id)
    AND NOT EXISTS (SELECT 1 FROM agent_note n WHERE n.conversation_id = c.id)
"""
