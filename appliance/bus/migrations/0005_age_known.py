"""Of a message that the broker had kept nobody knows how old it is; and so of those that were taken for new so far."""

from django.db import migrations, models

from appliance.bus.sql import CREATE_REMEMBER


class Migration(migrations.Migration):
    dependencies = [("bus", "0004_set_aside")]

    operations = [
        migrations.AddField(
            model_name="topicvalue",
            name="age_known",
            field=models.BooleanField(db_default=True, default=True),
        ),
        migrations.RunSQL(
            "UPDATE bus_topicvalue SET age_known = false WHERE retained", migrations.RunSQL.noop
        ),
        migrations.RunSQL(CREATE_REMEMBER, migrations.RunSQL.noop),
    ]
