from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("retrieval", "0014_rows_of_postings")]
    operations = [
        migrations.RemoveIndex("posting", name="postings_of_term"),
        migrations.AddIndex(
            "posting",
            models.Index(fields=["collection", "term", "document", "entries"], name="postings_by_term"),
        ),
    ]
