"""A null S3 server on loopback: nginx and Lua, about 12 microseconds of CPU for a PUT."""

from .server import ACCESS_KEY, SECRET_KEY, NullS3, NullS3Error

__all__ = ["ACCESS_KEY", "SECRET_KEY", "NullS3", "NullS3Error"]
