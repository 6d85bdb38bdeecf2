"""The name of who a run belongs to is as long as it is."""

from django.db import migrations

from appliance.runs.sql import PRINCIPAL_OF_ANY_LENGTH


class Migration(migrations.Migration):
    dependencies = [("runs", "0011_clock_reading")]

    operations = [migrations.RunSQL(PRINCIPAL_OF_ANY_LENGTH, migrations.RunSQL.noop)]
