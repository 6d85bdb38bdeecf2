"""The reflex lane: its fencing row, and the function that is one group commit."""

from django.db import migrations

from appliance.runs.reflex.sql import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0002_partitions"),
        ("bus", "0002_remember"),
        ("tasks", "0003_occurrence_version"),
        ("outbox", "0002_partitions"),
        ("events", "0002_partitions"),
        ("audit", "0002_chain"),
        ("safety", "0001_initial"),
    ]

    operations = [migrations.RunSQL(CREATE, DROP)]
