"""Whoever asks for an undo answers for it."""

from django.db import migrations, models

from appliance.runs.resume_sql import UNDO_BY, WITHOUT_UNDO_BY


class Migration(migrations.Migration):
    dependencies = [("runs", "0012_principal")]

    operations = [
        migrations.RunSQL(
            UNDO_BY,
            WITHOUT_UNDO_BY,
            state_operations=[
                migrations.AddField("run", "undo_by", models.TextField(blank=True, default="")),
            ],
        )
    ]
