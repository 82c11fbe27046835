"""The command ``brigade``: verbs, rendering and exit codes over the public facade ``bucket_brigade.jobs.brigade``."""
