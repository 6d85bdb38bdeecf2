from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agent", "0005_answers_and_denials"),
    ]

    operations = [
        migrations.AlterField(
            model_name="agentproposal",
            name="state",
            field=models.CharField(
                choices=[
                    ("open", "open"),
                    ("taken", "taken"),
                    ("rejected", "rejected"),
                    ("replaced", "replaced"),
                    ("expired", "expired"),
                ],
                default="open",
                max_length=10,
            ),
        ),
    ]
