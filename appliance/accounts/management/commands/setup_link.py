from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.errors import AccountRefused
from appliance.accounts.setup import ensure_admin, issue_setup_token
from appliance.lib.config import get_config


class Command(BaseCommand):
    help = (
        "Print the address to open: with a one-time set-up link while the box has no administrator, else "
        "plain. With MILLWRIGHT_ADMIN_PASSWORD_FILE the user 'admin' is made instead."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        config = get_config()
        if config.admin_password_file is not None:
            try:
                if ensure_admin(config.admin_password_file):
                    self.stderr.write("The user 'admin' was made with the password of the password file.")
            except AccountRefused as error:
                raise CommandError(str(error)) from error
        token = issue_setup_token(datetime.now(UTC))
        if token is None:
            self.stderr.write("The box has an administrator; log in there.")
            self.stdout.write(config.public_url)
            return
        self.stdout.write(f"{config.public_url}/setup/{token}/")
