"""Named SQL of following the record for alerts."""

# One look that costs next to nothing: whether there is anything to do.
LOOK = """
SELECT h.seq, p.seq, (SELECT max(v.number) FROM alerts_rulesversion v),
    EXISTS (SELECT 1 FROM alerts_alert a WHERE a.due_at <= %(now)s)
FROM audit_head h LEFT JOIN alerts_position p ON p.id = 1 WHERE h.id = 1
"""

# What was on record before anybody watched makes no alert.
BEGIN = """
INSERT INTO alerts_position (id, seq, counts) SELECT 1, h.seq, '{}' FROM audit_head h WHERE h.id = 1
ON CONFLICT DO NOTHING
"""

TAKE = "SELECT seq, counts FROM alerts_position WHERE id = 1 FOR UPDATE"

MOVE = "UPDATE alerts_position SET seq = %(seq)s, counts = %(counts)s WHERE id = 1"

KINDS = "SELECT seq, kind FROM audit_record WHERE seq > %(after)s ORDER BY seq LIMIT %(most)s"

RECORDS = """
SELECT seq, at, kind, principal, subject, body FROM audit_record WHERE seq = ANY(%(seqs)s::bigint[]) ORDER BY seq
"""

GATHER = """
UPDATE alerts_alert SET count = count + %(count)s, last_seq = %(last_seq)s, last_at = %(last_at)s, kind = %(kind)s,
    principal = %(principal)s, subject = %(subject)s
WHERE rule = %(rule)s AND due_at IS NOT NULL RETURNING id
"""

_ROW = """
id, rule, severity, reason, kind, principal, subject, last_seq, count, told, messages, opened_at, last_at
"""

OPEN = f"""
INSERT INTO alerts_alert (rule, version, severity, reason, kind, principal, subject, first_seq, last_seq, count, told,
    messages, opened_at, last_at, due_at)
VALUES (%(rule)s, %(version)s, %(severity)s, %(reason)s, %(kind)s, %(principal)s, %(subject)s, %(first_seq)s,
    %(last_seq)s, %(count)s, %(count)s, 1, %(now)s, %(last_at)s, %(due_at)s)
RETURNING {_ROW}
"""

DUE = f"SELECT {_ROW} FROM alerts_alert WHERE due_at <= %(now)s ORDER BY id FOR UPDATE"

TOLD = f"""
UPDATE alerts_alert SET told = count, messages = messages + 1, due_at = %(due_at)s WHERE id = %(id)s RETURNING {_ROW}
"""

OVER = "UPDATE alerts_alert SET due_at = NULL WHERE id = %(id)s"

ASKED_BY = "SELECT task, run_id FROM safety_approval WHERE id = %(id)s"

RULES = "SELECT number, text FROM alerts_rulesversion ORDER BY number DESC LIMIT 1"
