"""Clients that are broken, slow, rude or many: each is answered or let go, and the others do not notice.

https://www.rfc-editor.org/rfc/rfc9112 and https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.conformance.conftest import DENIED, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.conftest import World

SOAK = os.environ.get("S3VPCE_SOAK") == "1"
LOAD_SECONDS = 300.0 if SOAK else 3.0  # twice
CLIENTS = 8
MOST_GROWTH_KIB = 40 * 1024
HEAD = "Host: s3.us-east-1.amazonaws.com\r\n"


@contextmanager
def connection(world: World) -> Iterator[socket.socket]:
    parts = urlsplit(world.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as found:
        yield found


def answer(found: socket.socket) -> bytes:
    """All that comes until the other side ends it; a reset is an end too."""
    parts = []
    try:
        while part := found.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.fixture(autouse=True)
def _is_well_afterwards(world: World) -> Iterator[None]:
    yield
    assert outcome(world.client("s3").list_buckets) == (200, "")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("GET\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (f"GET / HTTP/3.0\r\n{HEAD}\r\n", 505),
        (f"GET / HTTP/1.1\r\n{HEAD}Bad Header: x\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{HEAD} folded\r\n\r\n", 400),
        (f"GET /\x01 HTTP/1.1\r\n{HEAD}\r\n", 400),
        (f"GET / HTTP/1.1\r\n{HEAD}{HEAD}\r\n", 400),
        (f"PUT /b/k HTTP/1.1\r\n{HEAD}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (f"PUT /b/k HTTP/1.1\r\n{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (f"PUT /b/k HTTP/1.1\r\n{HEAD}Content-Length: three\r\n\r\n", 400),
        (f"PUT /b/k HTTP/1.1\r\n{HEAD}Transfer-Encoding: gzip\r\n\r\n", 501),
        (f"PUT /b/k HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (f"PUT /b/k HTTP/1.1\r\n{HEAD}Content-Length: 99999999999\r\n\r\n", 413),
        (f"GET / HTTP/1.1\r\n{HEAD}X: {'x' * 70_000}\r\n\r\n", 431),
        (f"GET /{'x' * 70_000} HTTP/1.1\r\n{HEAD}\r\n", 431),
        (f"GET / HTTP/1.1\r\n{HEAD}" + "".join(f"X-{n}: x\r\n" for n in range(9000)) + "\r\n", 431),
        (f"BREW /pot HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n", 501),
        ("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 504),
        ("\x16\x03\x01\x00\x05nonsense", 0),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_messages_that_are_none(world: World, raw: str, status: int) -> None:
    with connection(world) as found:
        with suppress(OSError):  # the lab may have answered, and closed, before all is sent
            found.sendall(raw.encode("latin-1"))
            found.shutdown(socket.SHUT_WR)
        said = answer(found)
    expected = f"HTTP/1.1 {status} ".encode() if status else b""
    assert said.startswith(expected)
    assert b"Traceback" not in said
    assert said.count(b"\r\nDate: ") <= 1


def test_a_client_that_sends_no_more_gets_its_answer(world: World) -> None:
    with connection(world) as found:
        found.sendall(f"GET /no-such-bucket-at-all HTTP/1.1\r\n{HEAD}\r\n".encode())
        found.shutdown(socket.SHUT_WR)
        assert b"<Code>NoSuchBucket</Code>" in answer(found)


def test_a_client_that_goes_away_in_a_body_writes_nothing(world: World) -> None:
    s3, bucket = world.client("s3"), world.bucket()
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "half"})
    target = url.removeprefix(world.url)
    with connection(world) as found:
        found.sendall(
            f"PUT {target} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Length: 10\r\n\r\nhalf".encode()
        )
        found.shutdown(socket.SHUT_WR)
        assert b" 200 " not in answer(found)
    assert outcome(s3.head_object, Bucket=bucket, Key="half") == (404, "404")


def test_a_slow_client_is_waited_for(world: World) -> None:
    with connection(world) as found:
        for byte in f"GET /no-such-bucket-at-all HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode():
            found.sendall(bytes([byte]))
            time.sleep(0.002)
        assert b"<Code>NoSuchBucket</Code>" in answer(found)


def test_requests_that_come_all_at_once_are_answered_in_their_order(world: World) -> None:
    names = [f"no-such-bucket-{number}" for number in range(20)]
    raw = "".join(f"GET /{name} HTTP/1.1\r\n{HEAD}\r\n" for name in names)
    with connection(world) as found:
        found.sendall(raw.encode())
        found.shutdown(socket.SHUT_WR)
        said = answer(found).decode()
    assert [part.partition("</BucketName>")[0] for part in said.split("<BucketName>")[1:]] == names


def test_two_hundred_at_once_are_answered_while_others_idle(world: World) -> None:
    bucket = world.bucket("key")
    target = world.client("s3").generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
    parts = urlsplit(target)
    raw = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    found = [socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) for _ in range(300)]
    try:
        idle, busy = found[:100], found[100:]
        for one in idle:
            one.sendall(raw[:20])

        def ask(one: socket.socket) -> bytes:
            one.sendall(raw)
            return answer(one)

        with ThreadPoolExecutor(200) as pool:
            assert all(said.endswith(b"\r\n\r\nkey") for said in pool.map(ask, busy))
    finally:
        for one in found:
            one.close()


def test_a_mixed_load_leaves_the_lab_as_big_as_it_was(world: World) -> None:
    bucket, nobody = world.bucket("key"), world.client("s3", "alt")
    until, counts, lock = time.monotonic() + LOAD_SECONDS, {"done": 0}, threading.Lock()
    clients = [world.fresh("s3") for _ in range(CLIENTS)]

    def work(number: int) -> None:
        s3, chance, done = clients[number], random.Random(number), 0
        key = f"k{number}"
        calls: list[Any] = [
            lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"x" * chance.randrange(20_000)),
            lambda: len(s3.get_object(Bucket=bucket, Key="key")["Body"].read()),
            lambda: s3.list_objects_v2(Bucket=bucket),
            lambda: s3.head_object(Bucket=bucket, Key="key"),
            lambda: s3.delete_object(Bucket=bucket, Key=key),
            lambda: s3.get_bucket_acl(Bucket=bucket),
            lambda: denied(lambda: nobody.get_object(Bucket=bucket, Key="key")),
            lambda: world.signed("GET", f"/{bucket}?nonsense={chance.random()}&torrent"),
        ]
        while time.monotonic() < until:
            chance.choice(calls)()
            done += 1
        with lock:
            counts["done"] += done

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, range(CLIENTS), timeout=LOAD_SECONDS + 30))
        before = resident(world)
        until = time.monotonic() + LOAD_SECONDS
        list(pool.map(work, range(CLIENTS), timeout=LOAD_SECONDS + 30))
    assert counts["done"] > 10 * CLIENTS
    assert resident(world) - before < MOST_GROWTH_KIB


def denied(call: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == DENIED[1]


def resident(world: World) -> int:
    """KiB of the lab's process."""
    text = Path(f"/proc/{world.pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0])
