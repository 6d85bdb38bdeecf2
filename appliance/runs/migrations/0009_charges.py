"""The group commit pays for the effects whose intents it writes."""

from django.db import migrations

from appliance.runs.reflex.sql import CREATE_COMMIT, DROP_COMMIT, DROP_EARLIER


class Migration(migrations.Migration):
    dependencies = [("runs", "0008_called"), ("safety", "0004_budgets_and_plant_state")]

    operations = [
        migrations.RunSQL(DROP_EARLIER, migrations.RunSQL.noop),
        migrations.RunSQL(CREATE_COMMIT, DROP_COMMIT),
    ]
