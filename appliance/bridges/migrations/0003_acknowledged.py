from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bridges", "0002_buttons_files_pairing")]

    operations = [
        migrations.AddField(
            model_name="chatrecord",
            name="acked_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="chatrecord",
            name="acked_by",
            field=models.CharField(blank=True, db_default="", max_length=300),
        ),
    ]
