"""What was searchable by words stays so: the packed postings are made from the passages that are there."""

from django.db import migrations


def make(apps, schema_editor):
    from retrieval import lexical
    from retrieval.chunks import indexed

    Document, Chunk, Posting = (apps.get_model("retrieval", name) for name in ("Document", "Chunk", "Posting"))
    for document in Document.objects.filter(state__in=["lexical", "ready"]).defer("text").iterator(chunk_size=100):
        chunks = list(Chunk.objects.filter(document_id=document.pk).order_by("position"))
        rows = lexical.postings(document, [(c, indexed(document.title, c.heading, c.text)) for c in chunks])
        packed = [
            Posting(collection_id=row.collection_id, document_id=document.pk, term=row.term, entries=row.entries)
            for row in rows
        ]
        Posting.objects.bulk_create(packed, batch_size=500)
        document.passages, document.terms = len(chunks), sum(chunk.length for chunk in chunks)
        document.embedded = len(chunks) if document.state == "ready" else 0
        document.save(update_fields=["passages", "terms", "embedded"])


class Migration(migrations.Migration):
    dependencies = [("retrieval", "0007_search_tuning")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
