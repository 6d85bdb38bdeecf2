"""The network's state, the breakers and counters of platforms, and the two lookups of the queues."""

from django.db import migrations, models

from appliance.outbox.sql import DROP_QUEUE_INDEXES, QUEUE_INDEXES


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0003_platform"),
    ]

    operations = [
        migrations.CreateModel(
            name="NetworkFacts",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("condition", models.CharField(max_length=10)),
                ("since", models.DateTimeField()),
                ("checked_at", models.DateTimeField()),
                ("interfaces", models.JSONField(default=list)),
                ("default_route", models.BooleanField(default=False)),
                ("names_found", models.BooleanField(null=True)),
                ("note", models.CharField(blank=True, max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="NetworkTarget",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=10)),
                ("host", models.CharField(blank=True, max_length=255)),
                ("port", models.IntegerField(default=0)),
                ("state", models.CharField(max_length=10)),
                ("since", models.DateTimeField()),
                ("checked_at", models.DateTimeField(null=True)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("round_trip_ms", models.FloatField(null=True)),
                ("outages", models.IntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="OutboxTarget",
            fields=[
                ("platform", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("failures", models.IntegerField(default=0)),
                ("open_until", models.DateTimeField(null=True)),
                ("reason", models.CharField(blank=True, max_length=1000)),
                ("delivered", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("expired", models.BigIntegerField(default=0)),
                ("postponed", models.BigIntegerField(default=0)),
                ("last_delivered_at", models.DateTimeField(null=True)),
                ("last_failed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RunSQL(QUEUE_INDEXES, reverse_sql=DROP_QUEUE_INDEXES),
    ]
