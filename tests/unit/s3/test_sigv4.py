"""Signatures: Amazon's own example, the stamp of a second, and credentials that change."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiobotocore.credentials import AioRefreshableCredentials

from bucket_brigade.s3.sigv4 import Identity, Signer, signing_key, stamp_of


@dataclass
class Frozen:
    access_key: str
    secret_key: str
    token: str | None


@dataclass
class Credentials:
    """Credentials that are refreshed when asked, slowly, and count how often."""

    current: Frozen
    asked: int = 0
    slow: asyncio.Event | None = field(default=None)

    async def get_frozen_credentials(self) -> Frozen:
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
        return self.current


def signer_of(credentials: Credentials, clock: list[float]) -> Signer:
    return Signer(credentials, region="us-east-1", service="s3", now=lambda: clock[0])


def test_example_of_the_s3_documentation() -> None:
    """docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Example: GET Object"."""
    canonical = (
        "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
        "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
        "x-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n"
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    stamp = stamp_of(
        date="20130524T000000Z",
        access_key="AKIAIOSFODNN7EXAMPLE",
        token="",
        key=signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3"),
        region="us-east-1",
        service="s3",
    )
    assert stamp.sign(canonical) == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


async def test_stamp_lasts_a_second() -> None:
    clock = [1_795_350_663.9]
    credentials = Credentials(Frozen("AK", "SK", None))
    signer = signer_of(credentials, clock)
    assert signer.stamp() is None
    stamp = await signer.renew()
    assert stamp.date == "20261122T123103Z"
    assert stamp.credential == "AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/s3/aws4_request"
    assert signer.stamp() is stamp
    clock[0] += 0.2
    assert signer.stamp() is None
    assert (await signer.renew()).date == "20261122T123104Z"
    clock[0] -= 3600
    assert signer.stamp() is None, "a clock that was set back is followed"


async def test_new_day_has_a_new_key() -> None:
    clock = [1_795_391_999.0]
    signer = signer_of(Credentials(Frozen("AK", "SK", None)), clock)
    evening = await signer.renew()
    clock[0] += 1
    morning = await signer.renew()
    assert (evening.date[:8], morning.date[:8]) == ("20261122", "20261123")
    assert morning.key == signing_key("SK", "20261123", "us-east-1", "s3") != evening.key


async def test_credentials_are_refreshed_once_for_all_who_wait() -> None:
    clock = [1_795_350_663.0]
    credentials = Credentials(Frozen("AK", "SK", "old"), slow=asyncio.Event())
    signer = signer_of(credentials, clock)
    waiting = [asyncio.ensure_future(signer.renew()) for _ in range(20)]
    await asyncio.sleep(0)
    credentials.current = Frozen("AK2", "SK2", "new")
    assert credentials.slow is not None
    credentials.slow.set()
    stamps = await asyncio.gather(*waiting)
    assert credentials.asked == 1
    assert {stamp.token for stamp in stamps} == {"new"}
    assert {stamp.key for stamp in stamps} == {signing_key("SK2", "20261122", "us-east-1", "s3")}


async def test_temporary_credentials_are_refreshed_once_for_all_long_before_they_expire_and_days_may_end() -> None:
    """botocore's own credentials, valid for an hour each, through a night of requests every minute in two regions."""
    clock = [1_795_383_000.0]  # 21:30
    expiries: list[float] = []

    async def refresh() -> dict[str, Any]:
        number = len(expiries)
        expiries.append(clock[0] + 3600)
        await asyncio.sleep(0)  # as long as it takes, others ask
        expiry = datetime.fromtimestamp(expiries[number], UTC).isoformat()
        return {"access_key": f"AK{number}", "secret_key": f"SK{number}", "token": str(number), "expiry_time": expiry}

    first = await refresh()
    credentials = AioRefreshableCredentials(
        first["access_key"],
        first["secret_key"],
        first["token"],
        datetime.fromisoformat(first["expiry_time"]),
        refresh,
        "assume-role",
        time_fetcher=lambda: datetime.fromtimestamp(clock[0], UTC),
    )
    regions = ("us-east-1", "eu-west-3")
    signers = [Signer(credentials, region=region, service="s3", now=lambda: clock[0]) for region in regions]
    days = set()
    for _ in range(6 * 60):
        clock[0] += 60
        day = time.strftime("%Y%m%d", time.gmtime(clock[0]))
        days.add(day)
        for region, signer in zip(regions, signers, strict=True):
            assert signer.stamp() is None
            stamps = await asyncio.gather(*[signer.renew() for _ in range(5)])
            assert {id(stamp) for stamp in stamps} == {id(signer.stamp())}
            [stamp] = set(stamps)
            assert expiries[int(stamp.token)] > clock[0] + 600, "signed with what is about to expire"
            assert stamp.date.startswith(day)
            assert stamp.key == signing_key(f"SK{stamp.token}", day, region, "s3")
    assert days == {"20261122", "20261123"}
    assert len(expiries) == 1 + 6 * 60 // 46, "refreshed when less than a quarter of an hour is left, and never twice"


async def test_failed_refresh_is_tried_again_by_the_next() -> None:
    class Broken(Credentials):
        async def get_frozen_credentials(self) -> Frozen:
            await super().get_frozen_credentials()
            if self.asked == 1:
                raise RuntimeError
            return self.current

    signer = signer_of(Broken(Frozen("AK", "SK", None)), [1_795_350_663.0])
    with pytest.raises(RuntimeError):
        await signer.renew()
    assert (await signer.renew()).token == ""


def test_secrets_do_not_show() -> None:
    stamp = stamp_of(
        date="20261122T123103Z", access_key="AK", token="session-token", key=b"derived-key", region="r", service="s3"
    )
    shown = repr(stamp) + repr(Identity("AK", "secret-key", "session-token"))
    assert "session-token" not in shown
    assert "derived" not in shown
    assert "secret-key" not in shown
