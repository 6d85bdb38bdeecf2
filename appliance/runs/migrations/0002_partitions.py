"""Runs and their steps are partitioned by day of the run: the identifier carries it."""

from datetime import UTC, datetime

from django.db import migrations

from appliance.lib.partitions import Key, prepare
from appliance.runs.sql import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]

    operations = [
        migrations.RunSQL(
            [
                CREATE,
                *prepare("runs_run", Key.UUID, datetime.now(UTC).date()),
                *prepare("runs_step", Key.UUID, datetime.now(UTC).date()),
            ],
            reverse_sql=DROP,
        )
    ]
