"""Readings are partitioned by day: dropping a day is their only clean-up."""

from datetime import UTC, datetime

from django.db import migrations

from appliance.devices.readings.sql import CREATE, DROP, TABLE
from appliance.lib.partitions import Key, prepare


class Migration(migrations.Migration):
    dependencies = [("devices", "0002_presence")]

    operations = [
        migrations.RunSQL([CREATE, *prepare(TABLE, Key.TIME, datetime.now(UTC).date())], reverse_sql=DROP)
    ]
