"""Who made a version, and who answered, is as long as their name."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0005_question"),
    ]

    operations = [
        migrations.AlterField(
            model_name="question",
            name="answered_by",
            field=models.TextField(blank=True),
        ),
        migrations.AlterField(
            model_name="taskversion",
            name="created_by",
            field=models.TextField(),
        ),
    ]
