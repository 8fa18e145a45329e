"""Clients that others wrote: put, list, get, parts, copy, delete, presign and policy calls; where they are installed.

rclone and s3cmd are Debian's; the JavaScript SDK is npm's, fetched into a folder of the test's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.conformance.conftest import ACCOUNTS, allow, document

if TYPE_CHECKING:
    from tests.conformance.conftest import World

SOAK = os.environ.get("S3VPCE_SOAK") == "1"
pytestmark = pytest.mark.skipif(not SOAK, reason="in `make soak` only")
BIG = 12_000_000
PACKAGES = ["@aws-sdk/client-s3", "@aws-sdk/s3-request-presigner", "@aws-sdk/s3-presigned-post"]


def run(*command: str, folder: Path, **more: str) -> str:
    """What the command prints; nothing of the user's own AWS or proxies reaches it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        kept.pop(name, None)
    done = subprocess.run(
        command, cwd=folder, env={**kept, **more}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needed(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A tree of files, one of them big enough for several parts."""
    (tmp_path / "tree" / "a").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "x").write_text("1")
    (tmp_path / "tree" / "with space+ü").write_text("2")
    (tmp_path / "small").write_text("hello\n")
    (tmp_path / "big").write_bytes(os.urandom(BIG))
    return tmp_path


def test_rclone(world: World, files: Path) -> None:
    """It sends `x-amz-acl: private`, which AWS refuses where ACLs are off: https://rclone.org/s3/#s3-acl."""
    rclone, keys = needed("rclone"), world.root("main")
    bucket = world.bucket(ObjectOwnership="BucketOwnerPreferred")
    settings = {"TYPE": "s3", "PROVIDER": "Other", "ACCESS_KEY_ID": keys.key, "SECRET_ACCESS_KEY": keys.secret}
    settings |= {"REGION": "us-east-1", "ENDPOINT": world.url}
    named = {f"RCLONE_CONFIG_LAB_{name}": value for name, value in settings.items()}

    def do(*arguments: str) -> str:
        once = {"RCLONE_RETRIES": "1", "RCLONE_LOW_LEVEL_RETRIES": "1", "RCLONE_CONFIG": str(files / "none.conf")}
        return run(rclone, *arguments, folder=files, **named, **once)

    at = f"lab:{bucket}"
    do("copy", "small", at)
    do("copy", "big", at, "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
    do("sync", "tree", f"{at}/tree")
    assert sorted(do("lsf", "-R", "--files-only", at).split("\n")) == [
        "",
        "big",
        "small",
        "tree/a/x",
        "tree/with space+ü",
    ]
    assert do("cat", f"{at}/small") == "hello\n"
    do("check", "tree", f"{at}/tree")
    do("copyto", f"{at}/big", f"{at}/copied", "--s3-copy-cutoff", "5M")
    do("moveto", f"{at}/copied", f"{at}/moved")
    do("copyto", f"{at}/moved", "back")
    assert (files / "back").read_bytes() == (files / "big").read_bytes()
    parts = urlsplit(do("link", "--expire", "1h", f"{at}/small").strip())
    assert world.raw("GET", f"{parts.path}?{parts.query}").body == b"hello\n"
    do("deletefile", f"{at}/moved")
    do("purge", at)
    assert bucket not in do("lsd", "lab:")


def test_s3cmd(world: World, files: Path) -> None:
    """`--acl-private` keeps it from setting ACLs after copies: https://github.com/s3tools/s3cmd/issues/1304."""
    s3cmd, keys, bucket = needed("s3cmd"), world.root("main"), world.name()
    host = urlsplit(world.url).netloc
    rows = {"access_key": keys.key, "secret_key": keys.secret, "host_base": host, "use_https": "False"}
    rows |= {"host_bucket": host, "bucket_location": "us-east-1"}
    (files / "s3cfg").write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in rows.items()))

    def do(*arguments: str) -> str:
        return run(s3cmd, "-c", "s3cfg", "--no-progress", "--acl-private", *arguments, folder=files)

    at = f"s3://{bucket}"
    do("mb", at)
    do("put", "small", f"{at}/small")
    do("put", "big", f"{at}/big", "--multipart-chunk-size-mb=5")
    do("sync", "tree/", f"{at}/tree/")
    listed = [line.rpartition(f"{at}/")[2] for line in do("ls", "-r", at).splitlines()]
    assert sorted(listed) == ["big", "small", "tree/a/x", "tree/with space+ü"]
    do("get", f"{at}/big", "back")
    assert (files / "back").read_bytes() == (files / "big").read_bytes()
    do("cp", f"{at}/small", f"{at}/copied")
    do("mv", f"{at}/copied", f"{at}/moved")
    parts = urlsplit(do("signurl", f"{at}/moved", "+60").strip())
    assert world.raw("GET", f"{parts.path}?{parts.query}").body == b"hello\n"
    principal = {"AWS": f"arn:aws:iam::{ACCOUNTS['alt']}:root"}
    (files / "policy.json").write_text(document(allow("s3:GetObject", f"{bucket}/*", Principal=principal)))
    do("setpolicy", "policy.json", at)
    assert ACCOUNTS["alt"] in do("info", at)
    assert world.signed("GET", f"/{bucket}/small", who="alt").body == b"hello\n"
    do("delpolicy", at)
    assert world.signed("GET", f"/{bucket}/small", who="alt").code == "AccessDenied"
    do("del", "--recursive", "--force", at)
    do("rb", at)


def test_the_javascript_sdk(world: World, tmp_path: Path) -> None:
    node, npm = needed("node"), needed("npm")
    fetched = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", *PACKAGES],
        cwd=tmp_path,
        capture_output=True,
        timeout=240,
        check=False,
    )
    if fetched.returncode:
        pytest.skip("npm's registry can't be reached")
    shutil.copy(Path(__file__).with_name("client.mjs"), tmp_path)
    main, alt = world.root("main"), world.root("alt")
    keys = (main.key, main.secret, alt.key, alt.secret)
    assert run(node, "client.mjs", world.url, *keys, world.name(), folder=tmp_path) == "done\n"
