"""The Django project, and everything its apps share."""
