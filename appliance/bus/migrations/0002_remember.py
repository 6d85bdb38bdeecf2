"""Last values are kept by one function of the database, so that a group commit can call it in its own statement."""

from django.db import migrations

from appliance.bus.sql import CREATE_REMEMBER, DROP_REMEMBER


class Migration(migrations.Migration):
    dependencies = [("bus", "0001_initial")]

    operations = [migrations.RunSQL(CREATE_REMEMBER, DROP_REMEMBER)]
