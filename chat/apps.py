from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        from chat import integrity

        post_migrate.connect(integrity.install, sender=self, dispatch_uid="chat integrity")
