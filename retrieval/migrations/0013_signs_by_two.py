"""Texts in Chinese, Japanese and Korean are found by every two signs: their postings are made from the passages."""

from django.db import migrations


def make(apps, schema_editor):
    from retrieval import lexical
    from retrieval.chunks import indexed

    Document, Chunk, Posting = (apps.get_model("retrieval", name) for name in ("Document", "Chunk", "Posting"))
    held = Posting.objects.filter(term__regex=f"[{lexical.UNSPACED}]").values_list("document_id", flat=True)
    for id in sorted(set(held)):
        document = Document.objects.defer("text").get(pk=id)
        chunks = list(Chunk.objects.filter(document_id=id).order_by("position"))
        rows = lexical.postings(document, [(c, indexed(document.title, c.heading, c.text)) for c in chunks])
        made = [
            Posting(collection_id=row.collection_id, document_id=id, term=row.term, entries=row.entries)
            for row in rows
        ]
        Posting.objects.filter(document_id=id).delete()
        Posting.objects.bulk_create(made, batch_size=500)
        Chunk.objects.bulk_update(chunks, ["length"], batch_size=500)
        document.terms = sum(chunk.length for chunk in chunks)
        document.save(update_fields=["terms"])


class Migration(migrations.Migration):
    dependencies = [("retrieval", "0012_reading")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
