"""Named SQL of retention: anchors, and what may be deleted before them."""

# Up to its last anchor the record may be deleted, and nowhere else. Heads keep their time and place beside their body:
# they lead from a time to records, whatever the clock did. Subjects, kinds and principals are also searched by how they
# begin.
CREATE = """
CREATE TABLE audit_anchor (
    seq bigint PRIMARY KEY,
    after bigint NOT NULL UNIQUE,
    number bigint NOT NULL,
    hash bytea NOT NULL,
    file text NOT NULL,
    sha256 text NOT NULL,
    at timestamptz NOT NULL
);
CREATE TRIGGER audit_anchor_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_anchor
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

CREATE FUNCTION audit_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.seq > coalesce((SELECT max(a.seq) FROM audit_anchor a), 0) THEN
        RAISE EXCEPTION 'the audit record is append-only: DELETE of record % refused', OLD.seq
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;
DROP TRIGGER audit_record_append_only ON audit_record;
CREATE TRIGGER audit_record_append_only BEFORE UPDATE OR TRUNCATE ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_record_kept BEFORE DELETE ON audit_record
    FOR EACH ROW EXECUTE FUNCTION audit_kept();

ALTER TABLE audit_signature
    ADD COLUMN seq bigint GENERATED ALWAYS AS (((body::jsonb) ->> 'seq')::bigint) STORED,
    ADD COLUMN at text COLLATE "C" GENERATED ALWAYS AS ((body::jsonb) ->> 'at') STORED;
CREATE INDEX audit_signature_seq ON audit_signature (seq);

CREATE TABLE audit_later (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    principal text NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL
);

DROP INDEX audit_record_kind, audit_record_subject, audit_record_principal;
CREATE INDEX audit_record_kind ON audit_record (kind text_pattern_ops, seq);
CREATE INDEX audit_record_subject ON audit_record (subject text_pattern_ops, seq);
CREATE INDEX audit_record_principal ON audit_record (principal text_pattern_ops, seq);
"""

DROP = """
DROP INDEX audit_record_kind, audit_record_subject, audit_record_principal;
CREATE INDEX audit_record_kind ON audit_record (kind, seq);
CREATE INDEX audit_record_subject ON audit_record (subject, seq);
CREATE INDEX audit_record_principal ON audit_record (principal, seq);
DROP INDEX audit_signature_seq;
ALTER TABLE audit_signature DROP COLUMN seq, DROP COLUMN at;
DROP TRIGGER audit_record_kept ON audit_record;
DROP TRIGGER audit_record_append_only ON audit_record;
CREATE TRIGGER audit_record_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
DROP FUNCTION audit_kept();
DROP TABLE audit_anchor, audit_later;
"""

# For a transaction that has other rows to lock after it: the chain's head may only be locked at the very end.
LATER = """
INSERT INTO audit_later (at, kind, principal, subject, detail)
VALUES (clock_timestamp(), %(kind)s, %(principal)s, %(subject)s, %(detail)s)
"""

WAITING = "SELECT 1 FROM audit_later LIMIT 1"

TAKE_WAITING = """
DELETE FROM audit_later WHERE id IN (
    SELECT id FROM audit_later ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING id, at, kind, principal, subject, detail
"""

ANCHORS = "SELECT seq, after, number, hash, file, sha256, at FROM audit_anchor ORDER BY seq"

LAST_ANCHOR = "SELECT seq, hash FROM audit_anchor ORDER BY seq DESC LIMIT 1"

# Only one that follows the last. Of two processes that cut in the same moment the second meets its seq or its after.
ADD_ANCHOR = """
INSERT INTO audit_anchor (seq, after, number, hash, file, sha256, at)
SELECT %(seq)s, %(after)s, %(number)s, %(hash)s, %(file)s, %(sha256)s, %(at)s
WHERE %(after)s = coalesce((SELECT max(seq) FROM audit_anchor), 0) AND %(seq)s > %(after)s
ON CONFLICT DO NOTHING RETURNING seq
"""

# The newest head of at most so many records more, but at least the next one. Only heads with a root: the first of them
# may cover records of heads that an earlier version signed without, and a cut among those would break its tree. A head
# with an old time that stands behind one with a newer time was signed by a clock that was wrong for a while: what it
# covers is not old.
CUT = """
SELECT number, body, signature FROM audit_signature
WHERE seq > %(after)s AND at < %(before)s
    AND body::jsonb ? 'root'
    AND seq <= greatest(%(after)s + %(most)s, (SELECT min(s.seq) FROM audit_signature s
        WHERE s.seq > %(after)s AND s.body::jsonb ? 'root'))
    AND number < coalesce((SELECT min(s.number) FROM audit_signature s
        WHERE s.seq > %(after)s AND s.at >= %(before)s), 9223372036854775807)
ORDER BY number DESC LIMIT 1
"""

HEADS_BETWEEN = """
SELECT body, signature FROM audit_signature WHERE seq >= %(after)s AND seq <= %(upto)s ORDER BY number
"""

DELETE = """
DELETE FROM audit_record WHERE seq IN (SELECT seq FROM audit_record WHERE seq <= %(upto)s ORDER BY seq LIMIT %(most)s)
"""
