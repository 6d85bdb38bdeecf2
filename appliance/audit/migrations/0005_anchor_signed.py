"""The record is cut at signed heads only."""

from django.db import migrations

from appliance.audit.sql_heads import CREATE_ANCHORED, DROP_ANCHORED


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_heads_go")]

    operations = [migrations.RunSQL(CREATE_ANCHORED, reverse_sql=DROP_ANCHORED)]
