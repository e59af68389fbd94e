import hashlib
from datetime import UTC

import orjson
from django.db import migrations


def link_all(apps, schema_editor):
    """Every link anew: it covers more than it did. The trigger that keeps links comes back after the migration."""
    postgres = schema_editor.connection.vendor == "postgresql"
    schema_editor.execute(
        "DROP TRIGGER IF EXISTS message_guard ON chat_message" if postgres else "DROP TRIGGER IF EXISTS message_linked"
    )
    Message, Chat = apps.get_model("chat", "Message"), apps.get_model("chat", "Chat")
    for chat in Chat.objects.all().iterator():
        links, total = {}, 0
        for message in Message.objects.filter(chat=chat).select_related("run").order_by("depth", "pk"):
            if not message.settled:
                continue
            parent = message.parent_id
            above = "" if parent is None else links.get(parent) or f"open {parent}"
            manifest = (message.run.manifest or {}).get("digest", "") if message.run else ""
            asked = {"grounding": message.grounding, "reasoning": message.reasoning, "variables": message.variables}
            words = (
                above, str(message.pk), message.role, message.created.astimezone(UTC).isoformat(), message.digest,
                orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode(), manifest,
            )
            links[message.pk] = hashlib.sha256("\n".join(words).encode()).hexdigest()
            total = (total + int(links[message.pk], 16)) % 2**256
            Message.objects.filter(pk=message.pk).update(chain=links[message.pk])
        Chat.objects.filter(pk=chat.pk).update(sum=f"{total:064x}" if total else "")


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0007_exchange'),
    ]

    operations = [
        migrations.RunPython(link_all, migrations.RunPython.noop),
    ]
