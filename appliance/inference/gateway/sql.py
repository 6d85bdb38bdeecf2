"""Named SQL of the gateway: what tokens used and may use."""

# A limit of the token's own counts before that of its person's role.
STANDING = """
SELECT q.requests, q.tokens, u.requests, u.prompt_tokens, u.generated_tokens, u.refused
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT requests, tokens FROM inference_quota WHERE subject IN (%(token)s, %(role)s)
    ORDER BY subject = %(token)s DESC LIMIT 1
) q ON true
LEFT JOIN inference_use u ON u.token = %(token)s AND u.day = %(day)s
"""

# Several processes may count for the same token: each adds, and hears what all have.
ADD = """
INSERT INTO inference_use AS old (token, day, requests, prompt_tokens, generated_tokens, refused, told_at)
SELECT token, day, requests, prompt_tokens, generated_tokens, refused, %(now)s
FROM unnest(%(tokens)s::text[], %(days)s::date[], %(requests)s::bigint[], %(prompt_tokens)s::bigint[],
            %(generated_tokens)s::bigint[], %(refused)s::bigint[])
    AS new (token, day, requests, prompt_tokens, generated_tokens, refused)
ORDER BY token, day
ON CONFLICT (token, day) DO UPDATE SET
    requests = old.requests + excluded.requests,
    prompt_tokens = old.prompt_tokens + excluded.prompt_tokens,
    generated_tokens = old.generated_tokens + excluded.generated_tokens,
    refused = old.refused + excluded.refused
RETURNING token, requests, prompt_tokens, generated_tokens, refused
"""

# What was used since the last record, where that was made before this hour. The row says afterwards that it was told.
TELL = """
WITH due AS (
    SELECT token, day, told_at, requests - told_requests AS requests,
        prompt_tokens - told_prompt_tokens AS prompt_tokens,
        generated_tokens - told_generated_tokens AS generated_tokens, refused - told_refused AS refused
    FROM inference_use
    WHERE told_at < %(hour)s AND (requests, prompt_tokens, generated_tokens, refused)
        <> (told_requests, told_prompt_tokens, told_generated_tokens, told_refused)
    FOR UPDATE
)
UPDATE inference_use u SET told_at = %(now)s, told_requests = u.requests, told_prompt_tokens = u.prompt_tokens,
    told_generated_tokens = u.generated_tokens, told_refused = u.refused
FROM due WHERE u.token = due.token AND u.day = due.day
RETURNING due.token, due.told_at, due.requests, due.prompt_tokens, due.generated_tokens, due.refused
"""

SET_QUOTA = """
INSERT INTO inference_quota (subject, requests, tokens, changed_at, changed_by)
VALUES (%(subject)s, %(requests)s, %(tokens)s, %(now)s, %(by)s)
ON CONFLICT (subject) DO UPDATE SET requests = excluded.requests, tokens = excluded.tokens,
    changed_at = excluded.changed_at, changed_by = excluded.changed_by
"""

REMOVE_QUOTA = "DELETE FROM inference_quota WHERE subject = %(subject)s"
