"""People, their one-time set-up link and their API tokens."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models

from appliance.accounts.domain import Ability, Role, allowed
from appliance.accounts.grants import Grant, grants_of
from appliance.accounts.principal import UNKNOWN, Principal, hand_of


class Language(models.TextChoices):
    ENGLISH = "en", "English"
    CHINESE = "zh-hans", "简体中文"


class User(AbstractUser):
    """A person. The role says what they may do everywhere, and ``grants`` what more on some tasks and topics
    (written by ``granting`` only); Django's staff and superuser flags follow the role."""

    language = models.CharField(max_length=10, choices=Language.choices, default=Language.ENGLISH)
    role = models.CharField(
        max_length=10, choices=[(role.value, role.value) for role in Role], default=Role.VIEWER.value
    )
    grants = models.JSONField(default=list, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["username"]

    def __str__(self) -> str:
        return self.username

    @property
    def principal(self) -> Principal:
        """This person as services, runs and audit records name them."""
        return Principal(f"user:{self.username}", Role(self.role), self.granted)

    @property
    def granted(self) -> tuple[Grant, ...]:
        """What more this person may do than their role says, on some tasks and topics."""
        return grants_of(self.grants)

    def can(self, ability: Ability) -> bool:
        """Whether this person may do ``ability`` now, to whatever."""
        return self.is_active and allowed(Role(self.role), ability)

    def can_somewhere(self, ability: Ability) -> bool:
        """Whether there may be a task or topic to which they may do it."""
        return self.is_active and self.principal.can_somewhere(ability)


class SetupToken(models.Model):
    """The one-time link that makes the first administrator; only its digest is kept."""

    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"set-up link of {self.created_at:%Y-%m-%d %H:%M}"


class ApiToken(models.Model):
    """A program's key to the API, with the abilities it was given; only its digest is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    refused_at = models.DateTimeField(null=True)
    """When a use of it after its end was last put on record."""
    issued_by = models.CharField(max_length=200, null=True)  # noqa: DJ001 - null: nobody knows
    """The principal that made it, who held its text once; NULL for one of before this was kept."""

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="accounts_apitoken_name")]

    def __str__(self) -> str:
        return f"{self.user_id}/{self.name}"

    @property
    def principal(self) -> Principal:
        """The token as services, runs and audit records name it: its person, within its scopes."""
        name = f"token:{self.user.username}/{self.name}"
        return Principal(name, Role(self.user.role), self.user.granted, self.abilities, self.issuer)

    @property
    def issuer(self) -> str:
        """Whoever made it: a person's name or a principal's; UNKNOWN where that was not kept."""
        return hand_of(self.issued_by) if self.issued_by else UNKNOWN

    @property
    def abilities(self) -> frozenset[Ability]:
        """Its scopes; one that is not known any more gives nothing."""
        return frozenset(Ability(scope) for scope in self.scopes if scope in set(Ability))

    def can(self, ability: Ability) -> bool:
        """Whether the token may do ``ability``: within its scopes and never more than its person."""
        return ability.value in self.scopes and self.user.can(ability)

    def can_somewhere(self, ability: Ability) -> bool:
        """As its person's, within its scopes."""
        return ability.value in self.scopes and self.user.can_somewhere(ability)


class MqttGrant(models.Model):
    """The right of an MQTT account to give commands, and as what. Written by `mqtt` only."""

    account = models.CharField(max_length=64, primary_key=True)
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in Role])
    granted_at = models.DateTimeField()
    granted_by = models.CharField(max_length=200)

    def __str__(self) -> str:
        return f"{self.account} as {self.role}"
