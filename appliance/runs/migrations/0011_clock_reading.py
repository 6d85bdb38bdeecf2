"""How far the clock is ahead of the seconds since boot: a step of it is seen by that."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0010_queued")]

    operations = [
        migrations.CreateModel(
            name="ClockReading",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("boot", models.CharField(max_length=64)),
                ("distance", models.FloatField()),
                ("since", models.DateTimeField()),
            ],
        ),
    ]
