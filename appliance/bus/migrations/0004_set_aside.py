"""Messages that no try could handle."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bus", "0003_brokers"),
    ]

    operations = [
        migrations.CreateModel(
            name="SetAside",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("broker", models.CharField(blank=True, max_length=24)),
                ("topic", models.TextField()),
                ("payload", models.BinaryField()),
                ("size", models.IntegerField()),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
    ]
