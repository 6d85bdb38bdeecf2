"""Shards that a resumed run takes over from the run that it goes on from."""

from django.db import migrations, models

from appliance.runs.shards.taken_sql import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [("runs", "0013_undo_by")]

    operations = [
        migrations.RunSQL(
            CREATE,
            DROP,
            state_operations=[
                migrations.AddField("split", "taken_from", models.UUIDField(null=True)),
                migrations.AddField("split", "taken", models.IntegerField(default=0)),
                migrations.AddField("split", "ahead", models.IntegerField(default=0)),
            ],
        )
    ]
