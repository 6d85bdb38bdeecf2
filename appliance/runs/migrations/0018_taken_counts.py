"""What a worker has taken counts as a turn of its task before it is claimed."""

from django.db import migrations

from appliance.runs.queue_sql import CREATE


class Migration(migrations.Migration):
    dependencies = [("runs", "0017_about")]

    operations = [migrations.RunSQL(CREATE, migrations.RunSQL.noop)]
