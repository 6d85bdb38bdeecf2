"""Named SQL of the audit chain."""

# audit_append locks the head, chains each body to the one before, writes all rows and moves the head: one
# round trip. hash = sha256(previous hash || seq as 8 bytes, big-endian || body in UTF-8); the body is the
# exact text that the writer made, so that verification needs no second opinion about JSON.
CREATE = """
CREATE TABLE audit_record (
    seq bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    principal text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL
);
CREATE INDEX audit_record_kind ON audit_record (kind, seq);
CREATE INDEX audit_record_subject ON audit_record (subject, seq);
CREATE INDEX audit_record_principal ON audit_record (principal, seq);

CREATE TABLE audit_head (
    id smallint PRIMARY KEY CHECK (id = 1),
    seq bigint NOT NULL,
    hash bytea NOT NULL
) WITH (fillfactor = 20);
INSERT INTO audit_head VALUES (1, 0, sha256('millwright audit'));

CREATE TABLE audit_signature (
    number bigint PRIMARY KEY,
    body text NOT NULL,
    signature bytea NOT NULL
);

CREATE FUNCTION audit_append(
    ats timestamptz[], kinds text[], principals text[], subjects text[], bodies text[]
) RETURNS TABLE (seq bigint, hash bytea) LANGUAGE plpgsql AS $$
DECLARE
    total integer := coalesce(array_length(bodies, 1), 0);
    first bigint;
    link bytea;
    hashes bytea[] := ARRAY[]::bytea[];
BEGIN
    SELECT h.seq, h.hash INTO STRICT first, link FROM audit_head h WHERE h.id = 1 FOR UPDATE;
    hashes := hashes || link;
    FOR n IN 1..total LOOP
        link := sha256(link || int8send(first + n) || convert_to(bodies[n], 'UTF8'));
        hashes := hashes || link;
    END LOOP;
    INSERT INTO audit_record (seq, at, kind, principal, subject, body, prev_hash, hash)
    SELECT first + n, ats[n], kinds[n], principals[n], subjects[n], bodies[n], hashes[n], hashes[n + 1]
    FROM generate_series(1, total) AS n;
    UPDATE audit_head h SET seq = first + total, hash = link WHERE h.id = 1;
    RETURN QUERY SELECT first + total, link;
END $$;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit record is append-only: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_record_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_signature_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_signature
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

CREATE FUNCTION audit_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq < OLD.seq THEN
        RAISE EXCEPTION 'the audit head only moves forward' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head
    FOR EACH ROW EXECUTE FUNCTION audit_forward();
"""

DROP = """
DROP TABLE audit_record, audit_head, audit_signature;
DROP FUNCTION audit_append(timestamptz[], text[], text[], text[], text[]);
DROP FUNCTION audit_refuse();
DROP FUNCTION audit_forward();
"""

APPEND = """
SELECT seq, hash FROM audit_append(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[])
"""

BOUNDS = """
SELECT h.seq, h.hash, coalesce((SELECT max(r.seq) FROM audit_record r), 0)
FROM (SELECT 1) AS one LEFT JOIN audit_head h ON h.id = 1
"""

HEAD = "SELECT seq, hash FROM audit_head WHERE id = 1"

RECORDS = """
SELECT seq, at, kind, principal, subject, body, prev_hash, hash FROM audit_record
WHERE seq > %s AND seq <= %s ORDER BY seq LIMIT %s
"""

HASHES = "SELECT hash FROM audit_record WHERE seq BETWEEN %s AND %s ORDER BY seq"

RECORD_HASH = "SELECT hash FROM audit_record WHERE seq = %s"

SIGNATURES = "SELECT number, body, signature FROM audit_signature WHERE number > %s ORDER BY number"
LAST_SIGNATURE = "SELECT number, body, signature FROM audit_signature ORDER BY number DESC LIMIT 1"
ADD_SIGNATURE = """
INSERT INTO audit_signature (number, body, signature) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING RETURNING number
"""

RECORDS_AT = """
SELECT seq, at, kind, principal, subject, body, prev_hash, hash FROM audit_record
WHERE seq = ANY(%s::bigint[]) ORDER BY seq
"""
