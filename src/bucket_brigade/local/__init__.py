"""The local disk: scanning, safe paths, files that change under us, and atomic writes."""
