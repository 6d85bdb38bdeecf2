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
SELECT m.id, m.conversation_id, m.at, m.told_after, m.told_upto, m.told_denials, m.platform, m.place, c.kind,
    c.person, m.author, coalesce(m.detail ->> 'language', 'en') AS language,
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
    told_upto = (SELECT max(b.id) FROM agent_message b WHERE b.conversation_id = m.conversation_id),
    told_denials = coalesce(
        (SELECT max(d.id) FROM agent_denial d WHERE d.conversation_id = m.conversation_id), 0)
FROM agent_conversation c WHERE c.id = m.conversation_id AND m.id = %(id)s AND m.told_upto IS NULL
RETURNING m.told_after, m.told_upto, m.told_denials
"""

# What people have said since waits for its own turn; what was answered meanwhile was said before this one begins. An
# answer belongs to where its question stands: to one from before a new conversation, it is told no more than that is.
_BEFORE = """
FROM agent_message WHERE conversation_id = %(conversation_id)s AND id > %(told_after)s AND id <= %(told_upto)s
    AND id <> %(id)s AND (speaker <> 'person' OR id < %(id)s)
    AND coalesce((detail ->> 'question')::bigint, id) > %(told_after)s
"""
SAID_BEFORE = f"SELECT speaker, author, text, detail {_BEFORE} ORDER BY id DESC LIMIT %(most)s"
COUNT_BEFORE = f"SELECT count(*) {_BEFORE}"

# Also those of what was said before a new conversation was begun, and of what was forgotten.
DENIED_BEFORE = """
SELECT call FROM agent_denial WHERE conversation_id = %(conversation_id)s AND id <= %(told_denials)s
ORDER BY id DESC LIMIT %(most_denied)s
"""
# Of each run once, in the order of its calls.
DENY = """
INSERT INTO agent_denial (conversation_id, run_id, call, at)
SELECT c.id, %(run_id)s, said.call, %(at)s FROM agent_conversation c,
    unnest(%(calls)s::text[]) WITH ORDINALITY AS said(call, place)
WHERE c.id = %(conversation_id)s ORDER BY said.place
ON CONFLICT DO NOTHING
"""

# As it was when the message came: what is decided later counts from the next one on.
NOTES_BEFORE = """
SELECT text, standing FROM agent_note
WHERE state IN ('accepted', 'standing', 'ended') AND reviewed_at <= %(at)s AND (ended_at IS NULL OR ended_at > %(at)s)
    AND (scope = 'box' OR (scope = 'person' AND %(person)s <> '' AND person = %(person)s)
        OR (scope = 'room' AND conversation_id = %(conversation_id)s))
ORDER BY array_position(ARRAY['box', 'room', 'person'], scope::text), id
"""

# By its key the second time it is there already.
KEEP = """
INSERT INTO agent_message (conversation_id, speaker, author, text, platform, place, outside, run_id, key, detail, at)
VALUES (%(conversation_id)s, %(speaker)s, %(author)s, %(text)s, %(platform)s, %(place)s, true, %(run_id)s, %(key)s,
    %(detail)s, %(at)s)
ON CONFLICT DO NOTHING RETURNING id
"""
TOUCH = "UPDATE agent_conversation SET last_at = greatest(last_at, %(at)s) WHERE id = %(conversation_id)s"

# Who has taken part in it: they may follow it. From one name to the next in the index, however much each has said.
PEOPLE = """
WITH RECURSIVE who AS (
    SELECT min(author) AS name FROM agent_message
    WHERE conversation_id = %(conversation_id)s AND speaker = 'person'
    UNION ALL
    SELECT (SELECT min(m.author) FROM agent_message m
        WHERE m.conversation_id = %(conversation_id)s AND m.speaker = 'person' AND m.author > who.name)
    FROM who WHERE who.name IS NOT NULL
)
SELECT name FROM who WHERE name IS NOT NULL
"""

# Of the questions that are not known to be over, which are few; the run's row has the last word.
UNDER_WAY = """
SELECT r.id FROM agent_message m JOIN runs_run r ON r.id = m.run_id AND r.state IN ('queued', 'running', 'waiting')
WHERE m.conversation_id = %(conversation_id)s AND m.speaker = 'person' AND NOT m.over AND m.run_id IS NOT NULL
ORDER BY m.id LIMIT 1
"""
OVER = (
    "UPDATE agent_message SET over = true WHERE run_id = ANY(%(run_ids)s) AND speaker = 'person' AND NOT over"
)

# What agents in this run, or in what it was split into, have answered in a conversation, the oldest first; ``kept``:
# it stands there, so it was told with that.
ANSWERS_IN = """
WITH RECURSIVE inside AS (
    SELECT r.id, r.inputs FROM runs_run r WHERE r.id = %(run_id)s
    UNION ALL
    SELECT r.id, r.inputs FROM inside i JOIN runs_split n ON n.run_id = i.id JOIN runs_run r ON r.split_id = n.id
)
SELECT i.id AS run_id, s.output AS text, s.detail, s.finished_at AS at, EXISTS (
    SELECT 1 FROM agent_message m WHERE m.key = 'answer/' || i.id AND m.key <> '' AND m.speaker = 'agent') AS kept
FROM inside i JOIN runs_step s ON s.run_id = i.id AND s.kind = 'agent_answer' AND s.state = 'succeeded'
WHERE i.inputs -> 'asked' -> 'conversation' = 'true'
ORDER BY s.finished_at, i.id
"""

PRUNE = "DELETE FROM agent_message WHERE at < %(before)s"
PRUNE_NOTES = """
DELETE FROM agent_note WHERE state IN ('rejected', 'ended') AND coalesce(ended_at, reviewed_at) < %(before)s
"""
PRUNE_DENIALS = "DELETE FROM agent_denial WHERE at < %(before)s"
PRUNE_PROPOSED = "DELETE FROM agent_note WHERE state = 'proposed' AND created_at < %(before)s"
PRUNE_EMPTY = """
DELETE FROM agent_conversation c WHERE c.last_at < %(before)s
    AND NOT EXISTS (SELECT 1 FROM agent_message m WHERE m.conversation_id = c.id)
    AND NOT EXISTS (SELECT 1 FROM agent_note n WHERE n.conversation_id = c.id)
    AND NOT EXISTS (SELECT 1 FROM agent_denial d WHERE d.conversation_id = c.id)
"""
