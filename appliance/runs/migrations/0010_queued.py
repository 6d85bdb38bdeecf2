"""The group commit also writes the runs that wait for a worker."""

from django.db import migrations

from appliance.runs.reflex.sql import CREATE_COMMIT


class Migration(migrations.Migration):
    dependencies = [("runs", "0009_charges")]

    operations = [migrations.RunSQL(CREATE_COMMIT, migrations.RunSQL.noop)]
