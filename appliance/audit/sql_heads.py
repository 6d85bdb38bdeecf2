"""Named SQL of forgetting signed heads: they go with the records that they cover, and with none beyond."""

# The head at which the record was last cut stays: it proves where the record begins now.
CREATE = """
CREATE FUNCTION audit_head_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.number >= coalesce((SELECT max(a.number) FROM audit_anchor a), 0) THEN
        RAISE EXCEPTION 'the signed heads are append-only: DELETE of head % refused', OLD.number
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END $$;
DROP TRIGGER audit_signature_append_only ON audit_signature;
CREATE TRIGGER audit_signature_append_only BEFORE UPDATE OR TRUNCATE ON audit_signature
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_signature_kept BEFORE DELETE ON audit_signature
    FOR EACH ROW EXECUTE FUNCTION audit_head_kept();
"""

DROP = """
DROP TRIGGER audit_signature_kept ON audit_signature;
DROP TRIGGER audit_signature_append_only ON audit_signature;
CREATE TRIGGER audit_signature_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_signature
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
DROP FUNCTION audit_head_kept();
"""

# Whatever is before an anchor may be deleted: so it stands at a head that was signed, and nowhere else.
CREATE_ANCHORED = """
CREATE FUNCTION audit_anchor_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM audit_signature s WHERE s.number = NEW.number AND s.seq = NEW.seq
        AND decode(s.body::jsonb ->> 'hash', 'hex') = NEW.hash
    ) THEN
        RAISE EXCEPTION 'the audit record is cut at signed heads only: anchor at record % refused', NEW.seq
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_anchor_signed BEFORE INSERT ON audit_anchor
    FOR EACH ROW EXECUTE FUNCTION audit_anchor_signed();
"""

DROP_ANCHORED = """
DROP TRIGGER audit_anchor_signed ON audit_anchor;
DROP FUNCTION audit_anchor_signed();
"""

FIRST_KEPT = "SELECT max(number) FROM audit_anchor"

DELETE = """
DELETE FROM audit_signature WHERE number IN (
    SELECT number FROM audit_signature WHERE number < %(first)s ORDER BY number LIMIT %(most)s)
"""
