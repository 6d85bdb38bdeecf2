"""Occurrences are partitioned by day of their due time: the identifier carries it."""

from datetime import UTC, datetime

from django.db import migrations

from appliance.lib.partitions import Key, prepare
from appliance.tasks.sql import CREATE_OCCURRENCE, DROP_OCCURRENCE


class Migration(migrations.Migration):
    dependencies = [("tasks", "0001_initial")]

    operations = [
        migrations.RunSQL(
            [CREATE_OCCURRENCE, *prepare("tasks_occurrence", Key.UUID, datetime.now(UTC).date())],
            reverse_sql=DROP_OCCURRENCE,
        )
    ]
