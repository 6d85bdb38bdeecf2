"""Named SQL of the bus: the last value of each topic."""

from appliance.bus.values import HEAD_BYTES

# One call keeps the last values of a batch, each topic named once, and gives how many topics there was no room
# for. The rate is a decaying average: after dt seconds the old one counts exp(-dt/30), and the n new messages
# in dt the rest. One writer at a time: two may wait for each other's rows. A row whose age_known is null was
# retained by the broker: where it says what is kept, byte by byte, that is as old as it was; else its age is unknown.
CREATE_REMEMBER = """
CREATE OR REPLACE FUNCTION bus_remember(topic_values json, most integer DEFAULT 10000) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    wanted integer := json_array_length(topic_values);
    kept integer;
    added integer;
BEGIN
    UPDATE bus_topicvalue v SET payload = decode(s.payload, 'base64'), size = s.size, value = s.value::jsonb,
        quality = s.quality, retained = s.retained, count = v.count + s.count,
        at = CASE WHEN s.again THEN v.at ELSE greatest(v.at, s.at) END,
        age_known = CASE WHEN s.again THEN v.age_known ELSE coalesce(s.age_known, false) END,
        rate = CASE WHEN s.again THEN v.rate
            ELSE v.rate * exp(-s.dt / 30) + s.count * (1 - exp(-s.dt / 30)) / s.dt END
    FROM (
        SELECT n.*, greatest(extract(epoch FROM n.at - o.at)::float8, 0.001) AS dt,
            n.age_known IS NULL AND n.size <= {head} AND o.size = n.size
                AND o.payload = decode(n.payload, 'base64') AS again
        FROM json_to_recordset(topic_values) AS n(topic text, payload text, size integer, value text,
            quality text, retained boolean, at timestamptz, age_known boolean, count integer)
        JOIN bus_topicvalue o ON o.topic = n.topic
    ) AS s
    WHERE v.topic = s.topic;
    GET DIAGNOSTICS kept = ROW_COUNT;
    IF kept = wanted THEN
        RETURN 0;
    END IF;
    INSERT INTO bus_topicvalue (topic, payload, size, value, quality, retained, at, age_known, count, rate)
    SELECT n.topic, decode(n.payload, 'base64'), n.size, n.value::jsonb, n.quality, n.retained, n.at,
        coalesce(n.age_known, false), n.count, n.count / 30.0
    FROM json_to_recordset(topic_values) AS n(topic text, payload text, size integer, value text,
        quality text, retained boolean, at timestamptz, age_known boolean, count integer)
    WHERE NOT EXISTS (SELECT 1 FROM bus_topicvalue o WHERE o.topic = n.topic)
    ORDER BY n.topic
    LIMIT greatest(0, most - (SELECT count(*) FROM bus_topicvalue))
    ON CONFLICT (topic) DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN wanted - kept - added;
END $$;
""".replace("{head}", str(HEAD_BYTES))
DROP_REMEMBER = "DROP FUNCTION bus_remember(json, integer)"

REMEMBER = "SELECT bus_remember(%s::json, %s)"
_AT = "CASE WHEN age_known THEN at END"
READ = f"SELECT value, quality, {_AT} FROM bus_topicvalue WHERE topic = %s"
READ_MANY = f"SELECT topic, value, quality, {_AT} FROM bus_topicvalue WHERE topic = ANY(%s)"

SET_ASIDE = """
INSERT INTO bus_setaside (broker, topic, payload, size, reason, at)
VALUES (%(broker)s, %(topic)s, %(payload)s, %(size)s, %(reason)s, %(at)s)
"""
# The newest that fit stay: a device that sends nothing else must not fill the disk.
TRIM_ASIDE = """
DELETE FROM bus_setaside WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER newest AS n, sum(size) OVER newest AS bytes FROM bus_setaside
        WINDOW newest AS (ORDER BY id DESC)) AS kept
    WHERE n > %(most)s OR (bytes > %(bytes)s AND n > 1))
"""
FORGET_ASIDE = "DELETE FROM bus_setaside WHERE at < %s"
