"""The line of runs under each key of a task's ``overlap``, and what its ``limit`` has counted."""

from django.db import migrations, models

from appliance.runs.admission_sql import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_shards")]

    operations = [
        migrations.RunSQL(CREATE, reverse_sql=DROP),
        migrations.CreateModel(
            name="Rate",
            fields=[
                ("task_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("suppressed", models.BigIntegerField(default=0)),
                ("suppressed_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "runs_rate", "managed": False},
        ),
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("run_id", models.UUIDField(unique=True)),
                ("task_id", models.BigIntegerField()),
                ("key", models.CharField(max_length=200)),
                ("holding", models.BooleanField()),
                ("since", models.DateTimeField()),
            ],
            options={"db_table": "runs_turn", "ordering": ["id"], "managed": False},
        ),
    ]
