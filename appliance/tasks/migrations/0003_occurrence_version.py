"""An occurrence of the reflex lane names the version that it runs: its run's row comes only afterwards."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tasks", "0002_occurrence_partitions")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE tasks_occurrence ADD COLUMN version_id bigint",
            "ALTER TABLE tasks_occurrence DROP COLUMN version_id",
        )
    ]
