"""Roles and abilities as sentences for people name them."""

from appliance.accounts.domain import Ability, Role
from appliance.lib.said import Said, say

ROLES: dict[Role, Said] = {
    Role.VIEWER: say("viewer"),
    Role.OPERATOR: say("operator"),
    Role.ENGINEER: say("engineer"),
    Role.ADMIN: say("admin"),
}
ABILITIES: dict[Ability, Said] = {
    Ability.VIEW: say("view"),
    Ability.RUN_TASKS: say("run tasks"),
    Ability.CANCEL_RUNS: say("cancel runs"),
    Ability.APPROVE: say("approve"),
    Ability.STOP_ALL: say("stop all"),
    Ability.PUBLISH: say("publish"),
    Ability.CHAT: say("chat"),
    Ability.USE_MODELS: say("use models"),
    Ability.EDIT_TASKS: say("edit tasks"),
    Ability.EDIT_VALUES: say("edit values"),
    Ability.SYNC: say("sync"),
    Ability.MANAGE_DEVICES: say("manage devices"),
    Ability.MANAGE_BRIDGES: say("manage bridges"),
    Ability.MANAGE_BROKERS: say("manage brokers"),
    Ability.MANAGE_MODELS: say("manage models"),
    Ability.RELEASE_STOP: say("release stop"),
    Ability.VIEW_AUDIT: say("view audit"),
    Ability.EXAMINE: say("examine"),
    Ability.SIMULATE: say("simulate"),
    Ability.USE_SECRETS: say("use secrets"),
    Ability.MANAGE_USERS: say("manage users"),
    Ability.MANAGE_SECRETS: say("manage secrets"),
    Ability.MANAGE_POLICY: say("manage policy"),
    Ability.MANAGE_BOX: say("manage box"),
}
