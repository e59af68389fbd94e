"""Dates as every page of ours writes them, for Django's own admin too: 24 Nov 2026 16:05."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y H:i"
