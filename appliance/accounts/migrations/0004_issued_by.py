"""Who made a token: read from the record where that still says it, and the one place where SQL asks for it."""

from django.db import migrations, models

# Only the record of the token's making names its maker. Where it is cut off by now, nobody knows: NULL.
FROM_THE_RECORD = """
UPDATE accounts_apitoken t SET issued_by = (
    SELECT r.principal FROM audit_record r
    WHERE r.kind = 'token.issued' AND r.subject = 'token:' || u.username || '/' || t.name
    ORDER BY r.seq DESC LIMIT 1
)
FROM accounts_user u WHERE u.id = t.user_id
"""

# As ``ApiToken.issuer`` and ``principal.hand_of``: for statements that decide and write at once. Empty: no token's name.
ISSUER_OF = """
CREATE FUNCTION accounts_hand_of(principal text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN principal LIKE 'user:%' THEN substr(principal, 6)
        WHEN principal LIKE 'token:%' THEN split_part(substr(principal, 7), '/', 1)
        ELSE principal
    END
$$;
CREATE FUNCTION accounts_issuer_of(principal text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN principal NOT LIKE 'token:%' THEN '' ELSE coalesce((
        SELECT accounts_hand_of(t.issued_by) FROM accounts_apitoken t JOIN accounts_user u ON u.id = t.user_id
        WHERE u.username = accounts_hand_of(principal)
            AND t.name = substr(principal, length('token:' || u.username || '/') + 1)
    ), '?') END
$$
"""

WITHOUT = "DROP FUNCTION accounts_issuer_of(text); DROP FUNCTION accounts_hand_of(text)"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_grants"),
        ("audit", "0002_chain"),
    ]

    operations = [
        migrations.AddField("apitoken", "issued_by", models.CharField(max_length=200, null=True)),
        migrations.RunSQL(FROM_THE_RECORD, migrations.RunSQL.noop),
        migrations.RunSQL(ISSUER_OF, WITHOUT),
    ]
