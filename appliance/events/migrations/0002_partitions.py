"""The journal is partitioned by day of the event: dropping a day is its only clean-up."""

from datetime import UTC, datetime

from django.db import migrations

from appliance.events.sql import CREATE, DROP
from appliance.lib.partitions import Key, prepare


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.RunSQL(
            [CREATE, *prepare("events_event", Key.TIME, datetime.now(UTC).date())], reverse_sql=DROP
        )
    ]
