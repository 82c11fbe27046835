"""bucket-brigade moves objects in bulk between disk, S3 and S3-compatible stores, as durable jobs."""

__version__ = "0.1.0"
