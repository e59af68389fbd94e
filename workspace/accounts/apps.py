from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "workspace.accounts"
    label = "accounts"
    verbose_name = "People"

    def ready(self) -> None:
        from workspace.accounts import witness

        witness.listen()
