"""The messages of one platform are found without reading all days."""

from django.db import migrations

from appliance.outbox.sql import CREATE_PLATFORM


class Migration(migrations.Migration):
    dependencies = [("outbox", "0002_partitions")]

    operations = [migrations.RunSQL(CREATE_PLATFORM, reverse_sql="DROP INDEX outbox_item_platform")]
