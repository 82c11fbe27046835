"""MiniStack: of the servers here the one most like AWS. It lives in an environment of its own (``make test`` makes it)."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from xml.etree import ElementTree as ET

from bucket_brigade.settings.values import EndpointSettings, Secret
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.process import ServerDidNotStart, serving
from tests.servers.running import (
    CONDITIONAL_WRITES,
    CONDITIONS,
    COPY_CONDITIONS,
    DIGESTS,
    POLICIES,
    SIGNATURES,
    RunningServer,
)

_REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_HYPERCORN = os.path.join(_REPOSITORY, ".venv-servers", "bin", "hypercorn")
_ROOT_KEY = "test"
_USER = "brigade"
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@contextlib.contextmanager
def start_ministack(tls: bool = False) -> Iterator[RunningServer]:
    """Run MiniStack with signatures and policies enforced, and a user who may do everything."""
    if not os.path.exists(_HYPERCORN):
        raise ServerDidNotStart(f"{_HYPERCORN} is missing: `make .venv-servers/.ready` installs it")
    with tempfile.TemporaryDirectory(prefix="ministack-") as folder:
        certificates = make_certificates(folder) if tls else None

        def command(port: int) -> list[str]:
            # Not the program `ministack`: over TLS that one takes port 443 too.
            options = ["--certfile", certificates.certificate, "--keyfile", certificates.key] if certificates else []
            bind = ["--bind", f"127.0.0.1:{port}", "--workers", "0", "--keep-alive", "75"]
            return [_HYPERCORN, "ministack.app:app", *bind, *options]

        with serving(command, folder=folder, environment=lambda port: _environment(port, folder, tls=tls)) as port:
            url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            user = create_user(url, certificates)
            yield RunningServer(
                name="ministack-tls" if tls else "ministack",
                endpoint=EndpointSettings(
                    name="ministack",
                    endpoint_url=url,
                    region="us-east-1",
                    access_key_id=user.access_key_id,
                    secret_access_key=Secret(user.secret_access_key),
                    ca_bundle=certificates.ca if certificates else None,
                ),
                enforces=frozenset(
                    {SIGNATURES, DIGESTS, CONDITIONS, CONDITIONAL_WRITES, COPY_CONDITIONS, POLICIES},
                ),
            )


def _environment(port: int, folder: str, *, tls: bool) -> Mapping[str, str]:
    return {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "USE_SSL": "1" if tls else "0",
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": _ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": "never-used",
        "SERVICES": "s3,sts,iam,kms",
        "S3_DATA_DIR": os.path.join(folder, "s3"),
        "STATE_DIR": os.path.join(folder, "state"),
        "TMPDIR": folder,
        "LOG_LEVEL": "WARNING",
    }


class User(NamedTuple):
    access_key_id: str
    secret_access_key: str


def create_user(
    url: str, certificates: Certificates | None = None, *, name: str = _USER, policy: Mapping[str, object] = _EVERYTHING
) -> User:
    """Create a user with a key: the signatures of the root key are not checked, those of users are."""
    put_policy(url, name, policy, certificates, create=True)
    key = _iam(url, certificates, "CreateAccessKey", name)
    return User(*(_text(key, tag) for tag in ("AccessKeyId", "SecretAccessKey")))


def put_policy(
    url: str,
    name: str,
    policy: Mapping[str, object],
    certificates: Certificates | None = None,
    *,
    create: bool = False,
) -> None:
    """Replace the one policy of a user; ``create`` makes the user first."""
    if create:
        _iam(url, certificates, "CreateUser", name)
    _iam(url, certificates, "PutUserPolicy", name, PolicyName="policy", PolicyDocument=json.dumps(policy))


def _iam(url: str, certificates: Certificates | None, action: str, user: str, **parameters: str) -> ET.Element:
    context = ssl.create_default_context(cafile=certificates.ca) if certificates else None

    form = {"Action": action, "Version": "2010-05-08", "UserName": user, **parameters}
    scope = f"{_ROOT_KEY}/20250101/us-east-1/iam/aws4_request"
    request = urllib.request.Request(
        url + "/",
        data=urllib.parse.urlencode(form).encode(),
        headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=unchecked"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(request, timeout=30) as answer:
        return ET.fromstring(answer.read())


def _text(tree: ET.Element, tag: str) -> str:
    text = tree.findtext(f".//{{*}}{tag}")
    if not text:
        raise ServerDidNotStart(f"MiniStack gave no {tag}")
    return text
