"""The index of called runs leaves shards out: a split has up to a million of them."""

from django.db import migrations

from appliance.runs.sql import CALLED_WITHOUT_SHARDS


class Migration(migrations.Migration):
    dependencies = [("runs", "0007_admission")]

    operations = [migrations.RunSQL(CALLED_WITHOUT_SHARDS, migrations.RunSQL.noop)]
