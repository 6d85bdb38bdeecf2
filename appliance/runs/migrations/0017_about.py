"""The group commit writes of each message what it is about, and whether its author said how long it is wanted."""

from django.db import migrations

from appliance.runs.reflex.sql import CREATE_COMMIT


class Migration(migrations.Migration):
    dependencies = [("runs", "0016_away"), ("outbox", "0006_held")]

    operations = [migrations.RunSQL(CREATE_COMMIT, migrations.RunSQL.noop)]
