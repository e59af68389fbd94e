"""Files read as text: one function for each format, run in a child process under limits of memory and time.

``reading`` is what the rest calls. ``child`` is the process; it knows no database and no settings.
"""
