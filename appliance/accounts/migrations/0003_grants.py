"""Grants of a role on some tasks and topics, and the one place where SQL reads a person's role."""

from django.db import migrations, models

# As ``Principal.role_on(task=…)``: for statements that decide and write at once. NULL: nobody who may act here.
ROLE_ON = """
CREATE FUNCTION accounts_role_on(who text, task text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT known.role FROM (
        SELECT u.role::text AS role FROM accounts_user u WHERE u.username = who AND u.is_active
        UNION ALL
        SELECT g.value ->> 'role' FROM accounts_user u CROSS JOIN jsonb_array_elements(u.grants) g
        WHERE u.username = who AND u.is_active AND task LIKE (g.value ->> 'like')
    ) AS known
    ORDER BY array_position(ARRAY['viewer', 'operator', 'engineer', 'admin'], known.role) DESC LIMIT 1
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_mqtt_grants"),
    ]

    operations = [
        migrations.AddField("user", "grants", models.JSONField(blank=True, default=list)),
        migrations.AddField("apitoken", "refused_at", models.DateTimeField(null=True)),
        migrations.RunSQL(ROLE_ON, "DROP FUNCTION accounts_role_on(text, text)"),
    ]
