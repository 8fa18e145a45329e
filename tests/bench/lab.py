"""The lab beside plain `moto_server`: requests a second, time to the first answers, and memory."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from pytest_s3vpce.lab.process import start_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ACCOUNT = "111122223333"
REGION = "us-east-1"
BUCKET = "lab-bench"
TURNS = 5
SECONDS = 1.0
STATUSES = {"allowed": 200, "refused": 403}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/refused",
        }
    ],
}
EXAMPLE = Path(__file__).parents[2] / "examples" / "endpoint_only" / "provision.py"
DESCRIBE = b"Action=DescribeVpcs&Version=2016-11-15"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Place:
    """One server under measure, and a key for it."""

    port: int
    key: str
    secret: str

    def url(self, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.port}"

    def signed(self, service: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        """A request's bytes: what a client costs is no part of the measure."""
        request = AWSRequest(method="POST" if body else "GET", url=url, data=body, headers=headers or {})
        signer: Any = S3SigV4Auth if service == "s3" else SigV4Auth
        signer(Credentials(self.key, self.secret), service, REGION).add_auth(request)
        parts = urlsplit(url)
        lines = [f"{request.method} {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        lines += [f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*lines, "", ""]).encode() + body


def lab(folder: Path) -> list[list[str]]:
    return [*_rates(folder / "rates"), *_starts(folder / "starts"), *_memory(folder / "memory")]


# --- requests a second -----------------------------------------------------------------------------------------------


def _rates(folder: Path) -> list[list[str]]:
    found: dict[tuple[str, str, str], list[float]] = {}
    with _labs_place(folder) as ours, _motos() as plain, _motos("-s") as secure:
        places = {"http": {"lab": ours, "moto": plain}, "https": {"lab": ours, "moto": secure}}
        for scheme, names in places.items():
            for place in names.values():
                _fill(place, scheme)
        for turn in range(TURNS + 1):
            for scheme, names in places.items():
                for kind, status in STATUSES.items():
                    for name, place in names.items():
                        raw = place.signed("s3", f"{place.url(scheme)}/{BUCKET}/{kind}")
                        rate = _rate(place.port, raw, scheme=scheme, status=status)
                        if turn:  # the first of each warms caches
                            found.setdefault((scheme, kind, name), []).append(rate)
    rows = []
    for scheme in places:
        for kind, wanted in (("allowed", 2), ("refused", 8)):
            ours_rate, theirs = (statistics.median(found[scheme, kind, name]) for name in ("lab", "moto"))
            what = f"{kind} object reads over {scheme}"
            rows += [
                [f"{what}, lab", f"{ours_rate:.0f} a second", ""],
                [f"{what}, moto_server", f"{theirs:.0f} a second", ""],
                ["lab / moto_server", f"{ours_rate / theirs:.1f}", f"at least {wanted}"],
            ]
    return rows


def _fill(place: Place, scheme: str) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=place.url(scheme),
        aws_access_key_id=place.key,
        aws_secret_access_key=place.secret,
        region_name=REGION,
        verify=False,
        config=Config(s3={"addressing_style": "path"}),
    )
    if BUCKET in {row["Name"] for row in s3.list_buckets()["Buckets"]}:
        return
    s3.create_bucket(Bucket=BUCKET)
    for key in STATUSES:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 1024)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(POLICY))


def _rate(port: int, raw: bytes, *, scheme: str, status: int) -> float:
    """Of one client, which keeps its connection where the server does."""
    count, sock = 0, None
    started = time.perf_counter()
    while time.perf_counter() < started + SECONDS:
        sock = sock or _connect(port, scheme)
        got, closes = _exchange(sock, raw)
        assert got == status, got
        count += 1
        if closes:
            sock.close()
            sock = None
    if sock is not None:
        sock.close()
    return count / (time.perf_counter() - started)


def _connect(port: int, scheme: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "http":
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock)


def _exchange(sock: socket.socket, raw: bytes) -> tuple[int, bool]:
    """Status of the answer, and whether the server ends the connection with it."""
    sock.sendall(raw)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    left = int(length[1]) - len(body) if length else 0
    while left > 0:
        left -= len(_some(sock))
    closes = head.startswith(b"HTTP/1.0") or b"connection: close" in head.lower()
    return int(head[9:12]), closes


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise EOFError
    return data


# --- the first answers -----------------------------------------------------------------------------------------------


def _starts(folder: Path) -> list[list[str]]:
    found: dict[str, list[float]] = {}
    starts: dict[str, Callable[[], dict[str, float]]] = {
        "lab": partial(_labs_start, folder),
        "moto_server": _motos_start,
    }
    for turn in range(TURNS + 1):
        for name, start in starts.items():
            for service, seconds in start().items():
                if turn:
                    found.setdefault(f"{service}, {name}", []).append(seconds)
    medians = {name: statistics.median(values) for name, values in found.items()}
    rows = []
    for service, wanted in (("s3", "1.0 or less"), ("ec2", "less than 1.0")):
        names = [f"{service}, lab", f"{service}, moto_server"]
        rows += [[f"from the start to the first answer of {name}", f"{medians[name]:.2f} s", ""] for name in names]
        rows.append(["lab / moto_server", f"{medians[names[0]] / medians[names[1]]:.2f}", wanted])
    return rows


def _labs_start(folder: Path) -> dict[str, float]:
    started = time.perf_counter()
    with _labs_place(folder) as place:
        return _first_answers(place, started)


def _motos_start() -> dict[str, float]:
    started = time.perf_counter()
    with _motos() as place:
        return _first_answers(place, started)


def _first_answers(place: Place, started: float) -> dict[str, float]:
    url = f"{place.url('http')}/"
    requests = {"s3": place.signed("s3", url), "ec2": place.signed("ec2", url, DESCRIBE, FORM)}
    found = {}
    for service, raw in requests.items():
        with _connect(place.port, "http") as sock:
            assert _exchange(sock, raw)[0] == 200
        found[service] = time.perf_counter() - started
    return found


# --- memory ----------------------------------------------------------------------------------------------------------


def _memory(folder: Path) -> list[list[str]]:
    accounts = {"main": (ACCOUNT, "eu-west-1"), "partner": ("444455556666", "eu-west-1")}
    started = start_lab(folder, accounts=accounts, provision=EXAMPLE)
    try:
        status = Path(f"/proc/{started.pid}/status").read_text(encoding="utf-8")
    finally:
        started.stop()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match
    return [["memory with the example provisioned", f"{int(match[1]) / 1024:.0f} MiB", "under 300 MiB"]]


# --- the servers -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _labs_place(folder: Path) -> Iterator[Place]:
    """A lab as its command serves it, as soon as it says that it is ready."""
    folder.mkdir(exist_ok=True)
    file = folder / "ready.json"
    options = ["--account", f"main={ACCOUNT}", "--region", REGION, "--ready-file", str(file), "--folder", str(folder)]
    with _running([sys.executable, "-m", "pytest_s3vpce.lab", *options]) as alive:
        _await(file.exists, alive)
        ready = json.loads(file.read_text(encoding="utf-8"))
        row = ready["accounts"]["main"]
        port = urlsplit(ready["endpoint_url"]).port
        assert port
        yield Place(port, row["access_key_id"], row["secret_access_key"])


@contextlib.contextmanager
def _motos(*options: str) -> Iterator[Place]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("moto_server")), "-p", str(port), *options]
    with _running(command) as alive:
        _await(lambda: _answers(port), alive)
        yield Place(port, "AKIABENCH", "secret")


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[Callable[[], bool]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def alive() -> bool:
        if process.poll() is not None:
            sys.exit(f"`{' '.join(command)}` ended with {process.returncode}")
        return True

    try:
        yield alive
    finally:
        process.terminate()
        process.wait()


def _await(done: Callable[[], bool], alive: Callable[[], bool]) -> None:
    while alive() and not done():
        time.sleep(0.002)
