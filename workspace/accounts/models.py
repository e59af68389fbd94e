"""People and how they get in. Who may see a chat or use a model is decided beside those things, not here."""

from __future__ import annotations

from django.contrib.auth import models as auth
from django.contrib.sessions.base_session import AbstractBaseSession, BaseSessionManager
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from workspace.ids import new_id


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


GIVEN = [(role.value, role.label) for role in Role if role != Role.OWNER]  # ownership is handed over, never given


class Person(auth.AbstractUser):
    """Somebody who signs in. ``role`` says what they may do in the workspace."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    invitation = models.ForeignKey(
        "Invitation", null=True, editable=False, on_delete=models.SET_NULL, related_name="joined"
    )

    class Meta:
        verbose_name_plural = "people"
        constraints = [
            # The first-owner race is closed by the database: one owner row can exist.
            models.UniqueConstraint(fields=["role"], condition=models.Q(role="owner"), name="one_owner"),
        ]

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    def has_perm(self, perm: str, obj: object | None = None) -> bool:
        """Who may enter the admin may do there what it offers; no other permission is asked for."""
        return self.is_active and self.role in (Role.OWNER, Role.ADMIN)

    def has_module_perms(self, app_label: str) -> bool:
        return self.has_perm(app_label)


class Group(auth.Group):
    """Django's own group, among the people of the admin."""

    class Meta:
        proxy = True


class SignInLink(models.Model):
    """A one-time way in. Only the digest of its token is kept, so the table gives nobody a key."""

    digest = models.CharField(max_length=64, primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    used = models.DateTimeField(null=True)


class Invitation(models.Model):
    """A way in for somebody who is not there yet: a link that makes a person. Only its digest is kept, too."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    author = models.ForeignKey(Person, editable=False, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=8, choices=GIVEN, default=Role.MEMBER)
    groups = models.ManyToManyField(auth.Group, blank=True)
    email = models.EmailField("e-mail address", blank=True)
    uses = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(1000)])
    used = models.PositiveSmallIntegerField(default=0, editable=False)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    revoked = models.DateTimeField(null=True, editable=False)

    token = ""  # known to the request that makes the row, and to nobody after it

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(role="owner"), name="nobody_is_invited_as_owner"),
            models.CheckConstraint(condition=models.Q(used__lte=models.F("uses")), name="used_as_often_as_allowed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}{f' for {self.email}' if self.email else ''}, {self.created:%-d %b %Y}"

    @property
    def closed(self) -> str:
        """Why nobody can join by it any more, in words; empty while somebody can."""
        if self.revoked:
            return "This invitation was taken back."
        if self.used >= self.uses:
            return "This invitation has been used." if self.uses == 1 else "This invitation has been used up."
        if self.expires <= timezone.now():
            return "This invitation has expired."
        if not (self.author.is_active and self.author.role in (Role.OWNER, Role.ADMIN)):
            return "Whoever made this invitation may no longer invite anybody."
        return ""


class Share(models.Model):
    """Something that is open to more than its owner: to one person, or to everybody in a group."""

    WITH_ONE = models.Q(person__isnull=False, group__isnull=True) | models.Q(person__isnull=True, group__isnull=False)

    person = models.ForeignKey(Person, null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(auth.Group, null=True, on_delete=models.CASCADE, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.person or self.group)


class IdentityProvider(models.Model):
    """An OpenID Connect server that people may sign in with. The row is allauth's ``SocialApp`` with typed columns
    and a secret that is encrypted: ``adapters.py`` hands it to allauth as one."""

    name = models.CharField(max_length=40)
    slug = models.SlugField(
        "short name", max_length=40, unique=True, help_text="Part of its addresses here; it can't change."
    )
    server_url = models.URLField("address", max_length=500)
    client_id = models.CharField("client ID", max_length=191)
    encrypted_secret = models.BinaryField(default=bytes, editable=False)
    domains = models.TextField("e-mail domains that may join", blank=True)
    role = models.CharField("role of who joins so", max_length=8, choices=GIVEN, default=Role.MEMBER)

    def __str__(self) -> str:
        return self.name


class Session(AbstractBaseSession):
    """A signed-in browser. Django's session with its person in a column, so that all of somebody's can be ended."""

    person = models.ForeignKey(Person, null=True, on_delete=models.CASCADE)

    objects = BaseSessionManager()  # type: ignore[misc]

    @classmethod
    def get_session_store_class(cls) -> type:
        from workspace.accounts.session_store import SessionStore

        return SessionStore
