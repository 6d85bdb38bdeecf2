"""Signed heads go with the records that they cover, up to the one at which the record was last cut."""

from django.db import migrations

from appliance.audit.sql_heads import CREATE, DROP


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_kept")]

    operations = [migrations.RunSQL(CREATE, reverse_sql=DROP)]
