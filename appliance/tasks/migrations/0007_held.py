"""A task that the box holds, which no start gets past."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0006_long_names")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="held",
            field=models.BooleanField(
                default=False,
                db_default=False,
                help_text="nobody starts it, by whatever way, until a person switches it on again",
            ),
        ),
    ]
