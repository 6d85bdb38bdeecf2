import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agent", "0003_proposals")]

    operations = [
        migrations.CreateModel(
            name="McpServer",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("url", models.CharField(blank=True, max_length=500)),
                ("command", models.JSONField(default=list)),
                ("secret", models.CharField(blank=True, max_length=120)),
                ("env", models.CharField(blank=True, max_length=60)),
                ("private", models.BooleanField(default=False)),
                ("reads", models.JSONField(default=list)),
                ("enabled", models.BooleanField(default=True)),
                ("looked_at", models.DateTimeField(null=True)),
                ("problem", models.CharField(blank=True, max_length=500)),
                ("updated_at", models.DateTimeField()),
                ("updated_by", models.CharField(max_length=200)),
            ],
            options={"db_table": "agent_mcpserver", "ordering": ["name"]},
        ),
        migrations.CreateModel(
            name="McpTool",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("says", models.TextField(blank=True)),
                ("schema", models.JSONField(default=dict)),
                ("hints", models.JSONField(default=dict)),
                ("digest", models.CharField(max_length=64)),
                ("unusable", models.CharField(blank=True, max_length=200)),
                ("gone", models.BooleanField(default=False)),
                ("seen_at", models.DateTimeField()),
                ("risk", models.CharField(blank=True, max_length=10)),
                ("allowed_digest", models.CharField(blank=True, max_length=64)),
                ("allowed_by", models.CharField(blank=True, max_length=200)),
                ("allowed_at", models.DateTimeField(null=True)),
                (
                    "server",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tools",
                        to="agent.mcpserver",
                    ),
                ),
            ],
            options={
                "db_table": "agent_mcptool",
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("server", "name"), name="agent_mcptool_identity")
                ],
            },
        ),
    ]
