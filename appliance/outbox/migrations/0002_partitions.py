"""Items are partitioned by day of their run: the identifier carries it."""

from datetime import UTC, datetime

from django.db import migrations

from appliance.lib.partitions import Key, prepare
from appliance.outbox.sql import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [("outbox", "0001_initial")]

    operations = [
        migrations.RunSQL(
            [CREATE, *prepare("outbox_item", Key.UUID, datetime.now(UTC).date())],
            reverse_sql=DROP,
        )
    ]
