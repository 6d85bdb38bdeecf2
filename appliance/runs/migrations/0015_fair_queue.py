"""Tasks take turns in the workers' queue."""

from django.db import migrations

from appliance.runs import queue_sql


class Migration(migrations.Migration):
    dependencies = [("runs", "0014_taken_shards")]

    operations = [
        migrations.RunSQL(queue_sql.INDEX, queue_sql.INDEX_BACK),
        migrations.RunSQL(queue_sql.CREATE, queue_sql.DROP),
    ]
