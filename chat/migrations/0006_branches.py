import django.db.models.deletion
import workspace.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0005_links'),
        ('router', '0004_comparisons'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Step',
            fields=[
                ('id', models.UUIDField(default=workspace.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('switched', 'Switched'), ('pruned', 'Pruned'), ('restored', 'Restored'), ('named', 'Named'), ('starred', 'Starred'), ('flagged', 'Flagged'), ('changed', 'Changed'), ('unflagged', 'Unflagged'), ('merged', 'Merged'), ('forked', 'Forked')], max_length=9)),
                ('about', models.CharField(blank=True, max_length=200)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('undone', models.DateTimeField(null=True)),
                ('created', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.DeleteModel(name='Branch'),
        migrations.CreateModel(
            name='Branch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(blank=True, max_length=80)),
                ('starred', models.BooleanField(default=False)),
                ('pruned', models.BooleanField(default=False)),
                ('chat', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='branches', to='chat.chat')),
                ('start', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='branch', to='chat.message')),
            ],
        ),
        migrations.AddField(
            model_name='chat',
            name='made_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='chat',
            name='origin',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='forks', to='chat.message'),
        ),
        migrations.AddField(
            model_name='checkpoint',
            name='removed',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='message',
            name='origin',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='copies', to='chat.message'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['chat', '-id'], name='messages_of_chat'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('depth', 0)), fields=['chat'], name='roots_of_chat'),
        ),
        migrations.AddConstraint(
            model_name='branch',
            constraint=models.UniqueConstraint(condition=models.Q(('name', ''), _negated=True), fields=('chat', 'name'), name='branch_name'),
        ),
        migrations.AddField(
            model_name='step',
            name='chat',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='chat.chat'),
        ),
        migrations.AddField(
            model_name='step',
            name='message',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chat.message'),
        ),
        migrations.AddField(
            model_name='step',
            name='person',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='step',
            index=models.Index(fields=['chat', '-id'], name='steps_of_chat'),
        ),
    ]
