"""Finds out what keeps, or would keep, jobs from working: ``brigade doctor``."""
