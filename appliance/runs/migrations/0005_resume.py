"""Resume by hand, undo and checkpoints."""

from datetime import UTC, datetime

from django.db import migrations, models

from appliance.lib.partitions import Key, prepare
from appliance.runs.resume_sql import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [("runs", "0004_called")]

    operations = [
        migrations.RunSQL(
            [CREATE, *prepare("runs_checkpoint", Key.UUID, datetime.now(UTC).date())],
            reverse_sql=DROP,
            state_operations=[
                migrations.AddField("run", "undo_requested", models.BooleanField(default=False)),
                migrations.AddField("step", "shared_from", models.UUIDField(null=True)),
                migrations.CreateModel(
                    name="Checkpoint",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "run_id",
                                "step",
                                "digest",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("run_id", models.UUIDField()),
                        ("step", models.CharField(max_length=100)),
                        ("digest", models.CharField(max_length=64)),
                        ("number", models.IntegerField()),
                        ("attempt", models.SmallIntegerField()),
                        ("form", models.CharField(max_length=4)),
                        ("size", models.IntegerField()),
                        ("content", models.BinaryField()),
                        ("created_at", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "runs_checkpoint",
                        "ordering": ["run_id", "number"],
                        "managed": False,
                    },
                ),
            ],
        )
    ]
