from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bridges", "0004_files_of_chats")]

    operations = [
        migrations.AddField(
            model_name="platform",
            name="answered_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="platform",
            name="round_trip_ms",
            field=models.FloatField(null=True),
        ),
    ]
