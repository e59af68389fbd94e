from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "workspace.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        from workspace.audit import guard

        post_migrate.connect(guard.install, sender=self, dispatch_uid=guard.NAME)
