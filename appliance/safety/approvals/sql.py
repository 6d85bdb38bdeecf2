"""Named SQL of approvals. Every change is conditional on the state that it leaves."""

COLUMNS = """a.id, a.state, a.digest, a.policy, a.states, a.created_at, a.expires_at, a.approvers, a.names, a.needed,
    a.self_approval, a.requester, a.task, a.decided_at, a.decided_by, a.decision_reason, a.issuer"""

OF_STEP = f"""
SELECT {COLUMNS} FROM safety_approval a
WHERE a.run_id = %(run_id)s AND a.step = %(step)s AND a.attempt = %(attempt)s ORDER BY a.id
"""

ASK = """
INSERT INTO safety_approval (id, code, token_digest, purpose, run_id, step, attempt, task, kind, digest, policy, rule,
    states, requested_by, requester, approvers, names, needed, given, self_approval, state, reason, shown,
    created_at, expires_at, decided_by, way, decision_reason, closed_because, secret_digest, secret_by, secret_tries,
    issuer, minted_by)
VALUES (%(id)s, %(code)s, %(token_digest)s, %(purpose)s, %(run_id)s, %(step)s, %(attempt)s, %(task)s, %(kind)s,
    %(digest)s, %(policy)s, %(rule)s, %(states)s, %(requested_by)s::text, %(requester)s, %(approvers)s, %(names)s,
    %(needed)s, 0, %(self_approval)s, 'open', %(reason)s, %(shown)s, %(now)s, %(expires_at)s, '', '', '', '', '',
    '', 0, accounts_issuer_of(%(requested_by)s::text), '')
RETURNING issuer
"""

# The state is in the condition: what changed meanwhile is not overwritten.
CLOSE = """
UPDATE safety_approval SET state = %(becomes)s, closed_at = %(now)s, closed_because = %(because)s
WHERE id = %(id)s AND state = %(was)s RETURNING id
"""

# Who held a token or made a code can have used it: they count as whoever it is for. As ``domain._same_hand``.
# ``requester`` and ``issuer`` are the approval's; ``person`` answers, by what ``through`` made or is (a principal).
CREATE_SAME_HAND = """
CREATE FUNCTION safety_same_hand(requester text, issuer text, person text, through text)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT key.issuer = '?'
        OR requester IN (person, key.hand, key.issuer)
        OR safety_same_hand.issuer IN (person, key.hand)
        OR (key.issuer NOT IN ('', 'console', 'box') AND safety_same_hand.issuer IN (key.issuer, '?'))
        OR (safety_same_hand.issuer = '?' AND EXISTS (
            SELECT 1 FROM unnest(ARRAY[person, key.hand]) AS h (name) LEFT JOIN accounts_user u ON u.username = h.name
            WHERE coalesce(u.role, 'admin') = 'admin'))
    FROM (SELECT accounts_issuer_of(through) AS issuer, accounts_hand_of(through) AS hand) AS key
$$
"""

# The people who could be asked, without those on whose side the asking is, where they may not decide themselves.
HOW_MANY = """
SELECT count(*) FROM accounts_user u
WHERE u.is_active AND accounts_role_on(u.username, %(task)s) = ANY(%(roles)s)
    AND (%(self_approval)s OR NOT safety_same_hand(
        %(requester)s, accounts_issuer_of(%(requested_by)s::text), u.username, 'user:' || u.username))
    AND (%(names)s::text[] IS NULL OR u.username = ANY(%(names)s::text[]))
"""

# One statement decides. All that must hold stands in its condition, and a second decider waits for the row and
# then finds it decided. The count is on the row itself, so that two of N at once are both counted.
DECIDE = """
UPDATE safety_approval a SET
    given = a.given + CASE WHEN %(deny)s THEN 0 ELSE 1 END,
    state = CASE WHEN %(deny)s THEN 'denied' WHEN a.given + 1 >= a.needed THEN 'approved' ELSE a.state END,
    decided_at = %(now)s, decided_by = %(by)s, way = %(way)s, decision_reason = %(reason)s
WHERE a.id = %(id)s AND a.state = 'open' AND a.expires_at > %(now)s
    AND ((a.self_approval AND NOT starts_with(%(through)s, 'token:'))
        OR NOT safety_same_hand(a.requester, a.issuer, %(person)s, %(through)s))
    AND (a.names = '[]'::jsonb OR a.names @> to_jsonb(%(person)s::text))
    AND (%(username)s::text IS NULL OR accounts_role_on(%(username)s, a.task) = ANY(%(roles)s))
    AND NOT EXISTS (SELECT 1 FROM safety_approvaldecision d WHERE d.approval_id = a.id AND d.person = %(person)s)
RETURNING a.state
"""

# Of an approval that who asked was free to give themselves.
BY_SAME_HAND = """
SELECT safety_same_hand(a.requester, a.issuer, accounts_hand_of(a.decided_by),
    coalesce(nullif(a.minted_by, ''), a.decided_by))
FROM safety_approval a WHERE a.id = %(id)s
"""

DECIDED = """
INSERT INTO safety_approvaldecision (approval_id, person, choice, way, reason, key, at)
VALUES (%(id)s, %(person)s, %(choice)s, %(way)s, %(reason)s, %(key)s, %(now)s)
"""

MINT = """
UPDATE safety_approval SET secret_digest = %(digest)s, secret_by = %(by)s, secret_until = %(until)s, secret_tries = 0,
    minted_by = %(minted_by)s
WHERE id = %(id)s AND state = 'open' AND expires_at > %(now)s RETURNING id
"""

# Each try costs one of the five before anybody looks whether it was right.
TRY = """
UPDATE safety_approval SET secret_tries = secret_tries + 1
WHERE id = %(id)s AND state = 'open' AND secret_digest <> '' AND secret_until > %(now)s AND secret_tries < %(most)s
RETURNING secret_digest, secret_by, minted_by, accounts_issuer_of(minted_by)
"""

SPEND = "UPDATE safety_approval SET secret_digest = '' WHERE id = %(id)s"

WITHOUT_OPEN = "SELECT NOT EXISTS (SELECT 1 FROM safety_approval WHERE run_id = %(id)s AND state = 'open')"
