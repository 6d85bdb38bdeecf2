"""The chain, its one writer function and the triggers that refuse every change."""

from django.db import migrations

from appliance.audit.sql import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, reverse_sql=DROP)]
