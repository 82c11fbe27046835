"""botocore's models of services: read once for all clients of a process, and only those that S3 and its credentials need.

botocore looks through the folders of 400 services, and reads into ordered pairs: half of what a client costs to make.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.loaders import JSONFileLoader

SERVICES = ("s3", "s3control", "signin", "sso", "sso-oidc", "sts")
"""What a mover of objects talks to: S3, and who gives credentials for it."""


class ModelFiles(JSONFileLoader):
    """Reads the files of models, plain or compressed."""

    @functools.cache  # noqa: B019 - there is one instance, and clients share what they read
    def _load_file(self, full_path: str, open_method: Callable[..., Any]) -> Any:
        if not os.path.isfile(full_path):
            return None
        with open_method(full_path, "rb") as file:
            return msgspec.json.decode(file.read())


_FILES = ModelFiles()


def read_fewer_models(core: Any) -> None:
    """Let a botocore session find its models in the shared files, and know no service but ``SERVICES``."""
    loader = core.get_component("data_loader")
    loader.file_loader = _FILES
    loader.list_available_services = lambda type_name: list(SERVICES)
