"""Who may do what: four roles, each with everything that the one below it may do, and grants of a higher one
for some tasks, topics, devices and secrets only."""

from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0 for the lowest role; compare roles by this, never by their text."""
        return _RANKS[self]

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what ``needed`` may do."""
        return self.rank >= needed.rank


_RANKS = {role: rank for rank, role in enumerate(Role)}


def lower(one: Role, other: Role) -> Role:
    """The smaller of two ceilings."""
    return one if one.rank <= other.rank else other


class Ability(StrEnum):
    """What a screen, an API call or a chat command asks for. Also the vocabulary of token scopes."""

    VIEW = "view"
    RUN_TASKS = "run_tasks"
    CANCEL_RUNS = "cancel_runs"
    APPROVE = "approve"
    STOP_ALL = "stop_all"
    PUBLISH = "publish"
    CHAT = "chat"
    USE_MODELS = "use_models"
    EDIT_TASKS = "edit_tasks"
    EDIT_VALUES = "edit_values"
    SYNC = "sync"
    MANAGE_DEVICES = "manage_devices"
    MANAGE_BRIDGES = "manage_bridges"
    MANAGE_BROKERS = "manage_brokers"
    RELEASE_STOP = "release_stop"
    VIEW_AUDIT = "view_audit"
    EXAMINE = "examine"
    SIMULATE = "simulate"
    USE_SECRETS = "use_secrets"
    MANAGE_USERS = "manage_users"
    MANAGE_SECRETS = "manage_secrets"
    MANAGE_POLICY = "manage_policy"
    MANAGE_BOX = "manage_box"


NEEDED: dict[Ability, Role] = {
    Ability.VIEW: Role.VIEWER,
    Ability.RUN_TASKS: Role.OPERATOR,
    Ability.CANCEL_RUNS: Role.OPERATOR,
    Ability.APPROVE: Role.OPERATOR,
    Ability.STOP_ALL: Role.OPERATOR,
    Ability.CHAT: Role.OPERATOR,
    Ability.USE_MODELS: Role.OPERATOR,
    Ability.PUBLISH: Role.ENGINEER,
    Ability.EDIT_TASKS: Role.ENGINEER,
    Ability.EDIT_VALUES: Role.ENGINEER,
    Ability.SYNC: Role.ENGINEER,
    Ability.MANAGE_DEVICES: Role.ENGINEER,
    Ability.MANAGE_BRIDGES: Role.ENGINEER,
    Ability.MANAGE_BROKERS: Role.ENGINEER,
    Ability.RELEASE_STOP: Role.ENGINEER,
    Ability.VIEW_AUDIT: Role.ENGINEER,
    Ability.EXAMINE: Role.ENGINEER,
    Ability.SIMULATE: Role.ENGINEER,
    Ability.USE_SECRETS: Role.ENGINEER,
    Ability.MANAGE_USERS: Role.ADMIN,
    Ability.MANAGE_SECRETS: Role.ADMIN,
    Ability.MANAGE_POLICY: Role.ADMIN,
    Ability.MANAGE_BOX: Role.ADMIN,
}


def allowed(role: Role, ability: Ability) -> bool:
    """Whether a role has an ability."""
    return role.covers(NEEDED[ability])
