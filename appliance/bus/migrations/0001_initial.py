from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="TopicValue",
            fields=[
                ("topic", models.TextField(primary_key=True, serialize=False)),
                ("payload", models.BinaryField()),
                ("size", models.IntegerField()),
                ("value", models.JSONField(null=True)),
                (
                    "quality",
                    models.CharField(
                        choices=[("good", "good"), ("binary", "binary"), ("large", "large")], max_length=10
                    ),
                ),
                ("retained", models.BooleanField(default=False)),
                ("at", models.DateTimeField()),
                ("count", models.BigIntegerField(default=0)),
                ("rate", models.FloatField(default=0)),
            ],
            options={"ordering": ["topic"]},
        ),
        # Rows are rewritten for each message: room in the page, and no index but the key, keep the updates
        # in place (HOT).
        migrations.RunSQL(
            "ALTER TABLE bus_topicvalue SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)",
            migrations.RunSQL.noop,
        ),
    ]
