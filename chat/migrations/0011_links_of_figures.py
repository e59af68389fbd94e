import hashlib
from datetime import UTC

import orjson
from django.db import migrations


def digest(value):
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()


def canonical(value):
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def moment(when):
    return when.astimezone(UTC).isoformat() if when else None


def took(run):
    return digest(canonical({
        "state": run.state, "failure": run.failure, "reasoning": digest(run.reasoning),
        "tokens": [run.tokens_input, run.tokens_output],
        "cost": None if run.cost is None else f"{run.cost:.8f}",
        "seconds": [None if one is None else one + 0.0 for one in (run.first_token_s, run.total_s)],
        "when": [moment(run.created), moment(run.settled)],
    }))


def link_all(apps, schema_editor):
    """Every link anew: it covers how a run ended and what it took, too. A link that does not fit stays as it is, and a
    sum stays wrong by as much as it was: what was altered before is not made good. The trigger that keeps links comes
    back after the migration."""
    postgres = schema_editor.connection.vendor == "postgresql"
    schema_editor.execute(
        "DROP TRIGGER IF EXISTS message_guard ON chat_message" if postgres else "DROP TRIGGER IF EXISTS message_linked"
    )
    Message, Chat = apps.get_model("chat", "Message"), apps.get_model("chat", "Chat")
    for chat in Chat.objects.only("pk", "sum").iterator():
        links, total = {}, int(chat.sum or "0", 16)
        for message in Message.objects.filter(chat=chat).select_related("run").order_by("depth", "pk"):
            if not message.chain:
                continue
            manifest = (message.run.manifest or {}).get("digest", "") if message.run else ""
            asked = {"grounding": message.grounding, "reasoning": message.reasoning, "variables": message.variables}
            words = [
                str(message.pk), message.role, moment(message.created), message.digest, canonical(asked).decode(),
                manifest,
            ]
            parent = message.parent_id
            # The parent's link before and now; or none, where it settled after this one.
            hangs = [("", "")] if parent is None else [(f"open {parent}", f"open {parent}")]
            hangs = [links[parent], *hangs] if parent in links else hangs
            old = message.chain
            above = next((now for then, now in hangs if digest("\n".join([then, *words])) == old), None)
            if above is not None:
                told = [above, *words, *([took(message.run)] if message.run else [])]
                message.chain = digest("\n".join(told))
                Message.objects.filter(pk=message.pk).update(chain=message.chain)
            links[message.pk] = (old, message.chain)
            total = (total - int(old, 16) + int(message.chain, 16)) % 2**256
        Chat.objects.filter(pk=chat.pk).update(sum=f"{total:064x}" if total else "")


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0010_names_of_others'),
        ('router', '0006_personas'),
    ]

    operations = [
        migrations.RunPython(link_all, migrations.RunPython.noop),
    ]
