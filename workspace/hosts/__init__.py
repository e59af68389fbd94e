"""Supervised child processes: the model host (torch) and the index host (Chroma).

Each speaks HTTP over a Unix socket. ``supervisor`` starts and restarts them, ``link`` talks to them,
``child`` is what they have in common.
The web process imports the first two alone: torch and Chroma stay in the children.
"""
