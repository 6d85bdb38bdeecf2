"""Runs that are shards of another run's step, and the row that counts them."""

from datetime import UTC, datetime

from django.db import migrations, models

from appliance.lib.partitions import Key, prepare
from appliance.runs.shards.sql import CREATE, DROP, RUN_COLUMNS, RUN_COLUMNS_BACK


class Migration(migrations.Migration):
    dependencies = [("runs", "0005_resume")]

    operations = [
        migrations.RunSQL(
            [RUN_COLUMNS, CREATE, *prepare("runs_split", Key.UUID, datetime.now(UTC).date())],
            reverse_sql=[DROP, RUN_COLUMNS_BACK],
        ),
        migrations.CreateModel(
            name="Split",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("run_id", models.UUIDField()),
                ("step", models.CharField(max_length=100)),
                ("attempt", models.SmallIntegerField()),
                ("join_policy", models.CharField(max_length=10)),
                ("join_number", models.IntegerField()),
                ("parallelism", models.IntegerField()),
                ("expanded", models.IntegerField()),
                ("total", models.IntegerField(null=True)),
                ("admitted", models.IntegerField()),
                ("succeeded", models.IntegerField()),
                ("failed", models.IntegerField()),
                ("cancelled", models.IntegerField()),
                ("outcome", models.CharField(blank=True, max_length=10)),
                ("reason", models.CharField(blank=True, max_length=1000)),
                ("created_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "runs_split", "ordering": ["created_at"], "managed": False},
        ),
    ]
