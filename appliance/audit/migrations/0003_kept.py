"""The record may be shortened at its beginning, up to an anchor that a signed head proves; and it can be searched."""

from django.db import migrations

from appliance.audit.sql_kept import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_chain")]

    operations = [migrations.RunSQL(CREATE, reverse_sql=DROP)]
