"""What a message is about."""

from django.db import migrations

from appliance.outbox.sql import ADD_ABOUT


class Migration(migrations.Migration):
    dependencies = [("outbox", "0004_network")]

    operations = [
        migrations.RunSQL(ADD_ABOUT, reverse_sql="ALTER TABLE outbox_item DROP COLUMN about"),
    ]
