"""What was last told of each kind to each target, and the lookup of what waits of a kind."""

from django.db import migrations, models

from appliance.outbox.sql_folding import STREAM_INDEX


class Migration(migrations.Migration):
    dependencies = [
        ("outbox", "0006_held"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutboxDigest",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("platform", models.CharField(max_length=64)),
                ("target", models.CharField(blank=True, max_length=200)),
                ("about", models.CharField(max_length=200)),
                ("since", models.DateTimeField(null=True)),
                ("item_id", models.UUIDField(null=True)),
                ("begun_at", models.DateTimeField(null=True)),
                ("sent_at", models.DateTimeField(null=True)),
                ("rest_until", models.DateTimeField(null=True)),
                ("urgent_until", models.DateTimeField(null=True)),
                ("told", models.IntegerField(default=0)),
                ("steps", models.IntegerField(default=0)),
                ("expired", models.IntegerField(default=0)),
                ("expired_told", models.IntegerField(default=0)),
            ],
            options={
                "db_table": "outbox_digest",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("platform", "target", "about"), name="outbox_digest_of_stream"
                    )
                ],
            },
        ),
        migrations.RunSQL(STREAM_INDEX, reverse_sql="DROP INDEX outbox_item_stream"),
    ]
