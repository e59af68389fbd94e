"""The settings of the tests: the real ones, on data of their own that goes with them.

``DATABASE_URL`` and ``REDIS_URL`` count here too: the same tests run on PostgreSQL and Redis.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_data = tempfile.mkdtemp(prefix="onepane-tests-")
atexit.register(shutil.rmtree, _data, ignore_errors=True)
os.environ["DATA_DIR"] = _data
os.environ["NAMESPACE"] = f"tests-{os.getpid()}"  # two processes of tests share one Redis and nothing on it
for _name in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[_name]  # nor a key of whoever runs the tests
os.environ["DISCOVER"] = ""  # no model server of this machine takes part

from workspace.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # people of tests are many and short-lived
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},  # no collectstatic first
}
DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405 a thread that lives on must not hold the database of the tests
