"""Rows of postings are cut to what an index of PostgreSQL holds: so long ones become several."""

from django.db import migrations
from django.db.models.functions import Length

ROW = 80 * 24  # bytes: so many entries of so many


def split(apps, schema_editor):
    Posting = apps.get_model("retrieval", "Posting")
    long = Posting.objects.annotate(size=Length("entries")).filter(size__gt=ROW)
    for pk in list(long.values_list("pk", flat=True)):
        row = Posting.objects.get(pk=pk)
        entries = bytes(row.entries)
        Posting.objects.bulk_create(
            Posting(
                collection_id=row.collection_id, document_id=row.document_id, term=row.term,
                entries=entries[start : start + ROW],
            )
            for start in range(ROW, len(entries), ROW)
        )  # fmt: skip
        row.entries = entries[:ROW]
        row.save(update_fields=["entries"])


class Migration(migrations.Migration):
    dependencies = [("retrieval", "0013_signs_by_two")]
    operations = [migrations.RunPython(split, migrations.RunPython.noop)]
