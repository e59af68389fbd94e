import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Postings packed by document, settings of search, embedding models, labels and self-tests."""

    dependencies = [
        ("retrieval", "0006_shares"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            "collection",
            "kind",
            models.CharField(
                choices=[
                    ("documents", "Documents"),
                    ("attached", "attached to chats"),
                    ("web", "pages of the web"),
                    ("suite", "of a suite"),
                ],
                default="documents",
                max_length=9,
            ),
        ),
        migrations.AddField(
            "collection",
            "alpha",
            models.FloatField(help_text="Its own share of meaning against words, tuned on labels.", null=True),
        ),
        migrations.AddConstraint(
            "collection",
            models.UniqueConstraint(
                condition=models.Q(("kind", "attached")),
                fields=("owner",),
                name="one_collection_of_attached_files_each",
            ),
        ),
        migrations.AddField("document", "passages", models.PositiveIntegerField(default=0)),
        migrations.AddField(
            "document",
            "terms",
            models.PositiveIntegerField(default=0, help_text="Lexical terms of all its passages."),
        ),
        migrations.AddField(
            "document",
            "embedded",
            models.PositiveIntegerField(default=0, help_text="Passages whose vectors are stored."),
        ),
        migrations.AddIndex(
            "document", models.Index(fields=["collection", "passages", "terms"], name="size_of_documents")
        ),
        migrations.DeleteModel("Posting"),
        migrations.CreateModel(
            "Posting",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("term", models.CharField(max_length=60)),
                ("entries", models.BinaryField()),
                (
                    "collection",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="retrieval.collection",
                    ),
                ),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="postings", to="retrieval.document"
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["collection", "term"], name="postings_of_term")]},
        ),
        migrations.CreateModel(
            "SearchSettings",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("alpha", models.FloatField(default=0.6, verbose_name="share of meaning")),
                ("tokens", models.PositiveIntegerField(default=1024, verbose_name="tokens of evidence")),
                ("neighbours", models.BooleanField(default=True, verbose_name="join neighbouring passages")),
                ("follow_up", models.BooleanField(default=True, verbose_name="complete follow-up questions")),
                ("chunk_tokens", models.PositiveIntegerField(default=128, verbose_name="tokens of a passage")),
                (
                    "chunk_overlap",
                    models.PositiveIntegerField(default=32, verbose_name="tokens that neighbours share"),
                ),
                ("reranker", models.CharField(blank=True, max_length=8)),
                ("reranker_model", models.CharField(blank=True, max_length=300, verbose_name="model")),
                ("reranker_url", models.URLField(blank=True, max_length=500, verbose_name="address")),
                ("encrypted_reranker_key", models.BinaryField(default=b"", editable=False)),
                ("rerank_depth", models.PositiveIntegerField(default=30, verbose_name="passages reranked")),
            ],
            options={"verbose_name": "search settings", "verbose_name_plural": "search settings"},
        ),
        migrations.CreateModel(
            "EmbeddingModel",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("built-in", "MiniLM, which is installed"),
                            ("local", "A model of this machine"),
                            ("remote", "An address that speaks /v1/embeddings"),
                        ],
                        default="local",
                        max_length=8,
                    ),
                ),
                ("model", models.CharField(blank=True, max_length=300)),
                ("base_url", models.URLField(blank=True, max_length=500, verbose_name="address")),
                ("encrypted_key", models.BinaryField(default=b"", editable=False)),
                ("question_prefix", models.CharField(blank=True, max_length=200)),
                ("passage_prefix", models.CharField(blank=True, max_length=200)),
                (
                    "window",
                    models.PositiveIntegerField(
                        default=256, help_text="Tokens it reads; what is longer is cut silently."
                    ),
                ),
                ("dimensions", models.PositiveIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[("draft", "not used"), ("building", "being built"), ("current", "searched")],
                        default="draft",
                        max_length=8,
                    ),
                ),
                ("failure", models.CharField(blank=True, max_length=300)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["building", "current"])),
                        fields=("state",),
                        name="one_model_a_state",
                    )
                ]
            },
        ),
        migrations.CreateModel(
            "Embedded",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="retrieval.document"
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="embedded",
                        to="retrieval.embeddingmodel",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("model", "document"), name="embedded_once")]
            },
        ),
        migrations.CreateModel(
            "Label",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("question", models.TextField()),
                ("start", models.PositiveIntegerField()),
                ("end", models.PositiveIntegerField()),
                ("made", models.BooleanField(default=False)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "collection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="labels", to="retrieval.collection"
                    ),
                ),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="retrieval.document"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("document", "question", "start"), name="one_label_a_question_and_place"
                    )
                ]
            },
        ),
        migrations.CreateModel(
            "SelfTest",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("settings", models.JSONField()),
                (
                    "places",
                    models.JSONField(
                        default=dict,
                        help_text="By label, the place of its passage; null where it was not found.",
                    ),
                ),
                ("failure", models.CharField(blank=True, max_length=300)),
                ("done", models.BooleanField(default=False)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "collection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tests", to="retrieval.collection"
                    ),
                ),
            ],
            options={"ordering": ["-created"]},
        ),
    ]
