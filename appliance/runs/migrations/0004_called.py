"""The living runs that a run called are found without reading its day."""

from django.db import migrations

from appliance.runs.sql import CREATE_CALLED


class Migration(migrations.Migration):
    dependencies = [("runs", "0003_reflex")]

    operations = [migrations.RunSQL(CREATE_CALLED, reverse_sql="DROP INDEX runs_run_called")]
