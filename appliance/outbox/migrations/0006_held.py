"""Messages that wait for a better time."""

from django.db import migrations

from appliance.outbox.sql import ADD_HELD, DROP_HELD


class Migration(migrations.Migration):
    dependencies = [("outbox", "0005_about")]

    operations = [migrations.RunSQL(ADD_HELD, reverse_sql=DROP_HELD)]
