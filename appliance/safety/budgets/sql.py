"""Named SQL of budgets: one row for each count, and one function that charges them."""

SLOTS = 61
"""A stretch is counted in 60 slots, and one more for the one that has begun: never more than the budget in any
stretch of that length; what was spent comes free at most a sixtieth of it late."""

CREATE = f"""
CREATE FUNCTION safety_charge(charges json, moment timestamptz, mode text)
RETURNS TABLE (place integer, granted double precision, used double precision, free_at timestamptz, news boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c record;
    s safety_spending%ROWTYPE;
    width double precision;
    slot bigint;
    moved integer;
    total double precision;
    freed double precision;
    room double precision;
    denied boolean := false;
BEGIN
    -- Rows are locked in one order by everybody, and after the run's, before the head of the audit record.
    FOR c IN SELECT x.* FROM json_to_recordset(charges) AS x(place integer, subject text, what text, span integer,
        amount double precision, most double precision, rule text, task text, principal text, reason text,
        run_id text, "then" text)
        ORDER BY x.subject, x.what, x.span, x.place
    LOOP
        width := c.span / 60.0;
        slot := floor(extract(epoch FROM moment) / width);
        INSERT INTO safety_spending AS known (subject, what, span, newest, slots, touched_at)
        VALUES (c.subject, c.what, c.span, slot, array_fill(0::float8, ARRAY[{SLOTS}]), moment)
        ON CONFLICT (subject, what, span) DO UPDATE SET touched_at = moment
        RETURNING known.* INTO s;
        -- Clocks of writers differ, and they wait for the row: a small step back is counted in the newest slot.
        IF slot < s.newest AND s.newest - slot <= {SLOTS - 1} THEN
            slot := s.newest;
        END IF;
        -- A clock that was set back leaves what was spent where it is: it is forgotten later, never sooner.
        moved := least(greatest(slot - s.newest, 0), {SLOTS});
        IF moved > 0 THEN
            s.slots := s.slots[1 + moved:{SLOTS}] || array_fill(0::float8, ARRAY[moved]);
        END IF;
        SELECT coalesce(sum(one), 0) INTO total FROM unnest(s.slots) AS one;
        room := c.most - total;
        place := c.place; used := total; free_at := NULL; news := false;
        granted := CASE WHEN c.most IS NULL THEN c.amount
            WHEN mode = 'part' THEN greatest(0, least(c.amount, floor(room)))
            WHEN room >= c.amount AND room > 0 THEN c.amount
            ELSE NULL END;
        IF granted IS NULL OR (mode = 'part' AND granted < c.amount) OR (mode = 'part' AND room <= 0) THEN
            denied := true;
            freed := 0;
            FOR n IN 1..{SLOTS} LOOP
                freed := freed + s.slots[n];
                IF freed > 0 AND total - freed + c.amount <= c.most AND total - freed < c.most THEN
                    free_at := to_timestamp((slot + n) * width);
                    EXIT;
                END IF;
            END LOOP;
            free_at := coalesce(free_at, moment + make_interval(secs => c.span));
            news := s.told_at IS NULL OR s.told_at <= moment - make_interval(secs => c.span)
                OR s.told_at > moment + make_interval(secs => c.span);
            IF news AND mode <> 'look' THEN
                INSERT INTO events_event (type, subject, data) VALUES ('budget.exceeded', '',
                    jsonb_build_object('rule', c.rule, 'task', c.task, 'reason', c.reason,
                        'run_id', coalesce(c.run_id, ''), 'then', c."then"));
                -- For the audit record, whose head is locked after everything that the caller still has to lock.
                INSERT INTO audit_later (at, kind, principal, subject, detail)
                VALUES (moment, 'budget.exceeded', coalesce(nullif(c.principal, ''), 'box'),
                    coalesce(nullif(c.run_id, ''), c.rule), jsonb_build_object('rule', c.rule, 'task', c.task,
                        'what', c.what, 'used', total, 'most', c.most, 'per_seconds', c.span, 'then', c."then",
                        'free_at', free_at));
                s.told_at := moment;
            END IF;
        END IF;
        IF mode = 'part' AND granted > 0 OR c.most IS NULL THEN
            s.slots[{SLOTS}] := s.slots[{SLOTS}] + granted;
        END IF;
        UPDATE safety_spending SET newest = slot, slots = s.slots, told_at = s.told_at
        WHERE subject = c.subject AND what = c.what AND span = c.span;
        RETURN NEXT;
    END LOOP;
    IF mode <> 'all' OR denied THEN
        RETURN;
    END IF;
    -- There is room for all of them: only now is any of them counted.
    UPDATE safety_spending t SET slots[{SLOTS}] = t.slots[{SLOTS}] + n.amount
    FROM (SELECT x.subject, x.what, x.span, sum(x.amount) AS amount
        FROM json_to_recordset(charges) AS x(subject text, what text, span integer, amount double precision,
            most double precision)
        WHERE x.amount > 0 AND x.most IS NOT NULL GROUP BY 1, 2, 3) AS n
    WHERE t.subject = n.subject AND t.what = n.what AND t.span = n.span;
END $$;
"""

DROP = "DROP FUNCTION safety_charge(json, timestamptz, text)"

# Modes: 'all' counts everything or nothing, 'part' as much of each as there is room for, 'look' nothing.
CHARGE = """
SELECT place, granted, used, free_at, news FROM safety_charge(%(charges)s::json, %(moment)s, %(mode)s)
"""

FORGET = "DELETE FROM safety_spending WHERE touched_at < %(moment)s - make_interval(secs => span * 2)"

USED = """
SELECT subject, what, span, (SELECT coalesce(sum(one), 0) FROM unnest(slots) AS one), touched_at
FROM safety_spending WHERE what <> 'same' ORDER BY subject, what LIMIT 200
"""
