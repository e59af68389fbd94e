import hashlib

from django.db import migrations


def link_all(apps, schema_editor):
    """Give every settled message its link, parents first, and every chat their sum."""
    Message, Chat = apps.get_model("chat", "Message"), apps.get_model("chat", "Chat")
    for chat in Chat.objects.all().iterator():
        links, total = {}, 0
        for message in Message.objects.filter(chat=chat).select_related("run").order_by("depth", "pk"):
            if not message.settled:
                continue
            parent = message.parent_id
            above = "" if parent is None else links.get(parent) or f"open {parent}"
            manifest = (message.run.manifest or {}).get("digest", "") if message.run else ""
            words = "\n".join((above, str(message.pk), message.digest, manifest))
            links[message.pk] = hashlib.sha256(words.encode()).hexdigest()
            total = (total + int(links[message.pk], 16)) % 2**256
            Message.objects.filter(pk=message.pk).update(chain=links[message.pk])
        Chat.objects.filter(pk=chat.pk).update(sum=f"{total:064x}" if total else "")


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0004_chain'),
    ]

    operations = [
        migrations.RunPython(link_all, migrations.RunPython.noop),
    ]
