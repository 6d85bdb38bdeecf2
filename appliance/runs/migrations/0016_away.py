"""The lines of runs before targets that are away; the group commit takes places in them too."""

from django.db import migrations, models

from appliance.runs.away_sql import CREATE, DROP
from appliance.runs.reflex.sql import CREATE_COMMIT, DROP_WITHOUT_LINES


class Migration(migrations.Migration):
    dependencies = [("runs", "0015_fair_queue")]

    operations = [
        migrations.RunSQL(CREATE, DROP),
        migrations.CreateModel(
            name="Away",
            fields=[
                ("run_id", models.UUIDField(primary_key=True, serialize=False)),
                ("target", models.TextField()),
                ("behind", models.BooleanField()),
                ("since", models.DateTimeField()),
            ],
            options={"db_table": "runs_away", "ordering": ["run_id"], "managed": False},
        ),
        migrations.RunSQL(DROP_WITHOUT_LINES, migrations.RunSQL.noop),
        migrations.RunSQL(CREATE_COMMIT, migrations.RunSQL.noop),
    ]
