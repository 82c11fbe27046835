"""Real S3 servers for the tests: no container, no root rights, loopback only, seconds to start."""

from tests.servers.ministack import start_ministack
from tests.servers.moto import start_moto
from tests.servers.process import ServerDidNotStart, serving
from tests.servers.rclone import start_rclone
from tests.servers.running import RunningServer

__all__ = ["RunningServer", "ServerDidNotStart", "serving", "start_ministack", "start_moto", "start_rclone"]
