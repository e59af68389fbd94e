from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RouterConfig(AppConfig):
    name = "workspace.router"
    label = "router"

    def ready(self) -> None:
        from workspace.router import frozen

        post_migrate.connect(frozen.install, dispatch_uid="router frozen")  # after any app: tables are of several
