import django.db.models.deletion
from django.db import migrations, models

# A version is what was applied, as long as anybody may ask what decided.
CREATE = """
CREATE FUNCTION safety_policy_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of the policy is never changed: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER safety_policyversion_immutable BEFORE UPDATE OR DELETE ON safety_policyversion
    FOR EACH ROW EXECUTE FUNCTION safety_policy_refuse();
"""
DROP = """
DROP TRIGGER safety_policyversion_immutable ON safety_policyversion;
DROP FUNCTION safety_policy_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("safety", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="PolicyVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("layer", models.CharField(max_length=10)),
                ("number", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=100)),
                ("text", models.TextField()),
                ("digest", models.CharField(max_length=64)),
                ("author", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(fields=["layer", "number"], name="safety_policyversion_number")
                ],
            },
        ),
        migrations.CreateModel(
            name="PolicyInForce",
            fields=[
                ("layer", models.CharField(max_length=10, primary_key=True, serialize=False)),
                ("since", models.DateTimeField()),
                ("by", models.CharField(max_length=200)),
                (
                    "version",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="safety.policyversion"),
                ),
            ],
            options={"db_table": "safety_policy"},
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
