"""Whose hand an approval is: who made the token that asked, and the code that answered."""

from django.db import migrations, models

from appliance.safety.approvals.sql import CREATE_SAME_HAND

# Those that are decided stay as they were decided on.
OPEN_ONES = "UPDATE safety_approval SET issuer = accounts_issuer_of(requested_by) WHERE state = 'open'"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_issued_by"),
        ("safety", "0004_budgets_and_plant_state"),
    ]

    operations = [
        migrations.AddField("approval", "issuer", models.CharField(blank=True, default="", max_length=200)),
        migrations.AddField(
            "approval", "minted_by", models.CharField(blank=True, default="", max_length=200)
        ),
        migrations.RunSQL(OPEN_ONES, migrations.RunSQL.noop),
        migrations.RunSQL(CREATE_SAME_HAND, "DROP FUNCTION safety_same_hand(text, text, text, text)"),
    ]
