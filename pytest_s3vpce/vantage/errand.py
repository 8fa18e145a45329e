"""What a program does where it arrives: hands its batch to the agent, and writes the answer, marked.

Carried as source beside the agent: one file, standard library, Python 3.8. Where a third party keeps what passes by
(SSM keeps commands and their output for 30 days), a batch and its answer are sealed with a key that is agreed on for
this one batch and forgotten with it: Diffie-Hellman in the group ffdhe2048 of RFC 7919, SHAKE-256 as the key stream,
and HMAC-SHA-256 over what is sealed. Readers of the history learn neither requests nor answers; it is no protection
from whoever can change what is run there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
import zlib
from typing import Any, Dict, Tuple

PRIME = int(
    "FFFFFFFFFFFFFFFFADF85458A2BB4A9AAFDC5620273D3CF1D8B9C583CE2D3695A9E13641146433FBCC939DCE249B3EF97D2FE363630C75D8"
    "F681B202AEC4617AD3DF1ED5D5FD65612433F51F5F066ED0856365553DED1AF3B557135E7F57C935984F0C70E0E68B77E2A689DAF3EFE872"
    "1DF158A136ADE73530ACCA4F483A797ABC0AB182B324FB61D108A94BB2C8E3FBB96ADAB760D7F4681D4F42A3DE394DF4AE56EDE76372BB19"
    "0B07A7C8EE0A6D709E02FCE1CDF7E2ECC03404CD28342F619172FE9CE98583FF8E4F1232EEF28183C3FE3B1B4C6FAD733BB5FCBC2EC22005"
    "C58EF1837D1683B2C6F34A26C1B2EFFA886B423861285C97FFFFFFFFFFFFFFFF",
    16,
)
"""https://www.rfc-editor.org/rfc/rfc7919#appendix-A.1"""
THERE, BACK = b"there", b"back"
_TAG = 32
_OLD_SECONDS = 3600
PREFIX = "s3vpce-"

Json = Dict[str, Any]


def pair() -> Tuple[int, int]:
    """A secret number, and the public one that goes with it."""
    secret = secrets.randbits(512)
    return secret, pow(2, secret, PRIME)


def shared(secret: int, public: int) -> bytes:
    """What both sides know after they have told each other their public numbers."""
    if not 1 < public < PRIME - 1:
        raise ValueError("that is no public number")
    return pow(public, secret, PRIME).to_bytes(256, "big")


def sealed(data: bytes, known: bytes, way: bytes) -> bytes:
    """Each agreed secret seals one thing each way: the same key stream never serves twice."""
    covered = _covered(data, known, way)
    return hmac.new(_key(b"tag", known, way), covered, hashlib.sha256).digest() + covered


def unsealed(data: bytes, known: bytes, way: bytes) -> bytes:
    tag, covered = data[:_TAG], data[_TAG:]
    if not hmac.compare_digest(tag, hmac.new(_key(b"tag", known, way), covered, hashlib.sha256).digest()):
        raise ValueError("what was sealed has been changed")
    return _covered(covered, known, way)


def _covered(data: bytes, known: bytes, way: bytes) -> bytes:
    stream = hashlib.shake_256(_key(b"stream", known, way)).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")


def _key(use: bytes, known: bytes, way: bytes) -> bytes:
    return hashlib.sha256(b"s3vpce " + use + b" " + way + b" " + known).digest()


def encoded(value: Any) -> bytes:
    return zlib.compress(json.dumps(value).encode(), 9)


def decoded(data: bytes) -> Any:
    return json.loads(zlib.decompress(data).decode())


def agree() -> Json:
    """Our public number, and the folder where the secret one waits for the batch; what others left there is removed."""
    above = tempfile.gettempdir()
    for name in os.listdir(above):
        path = os.path.join(above, name)
        if name.startswith(PREFIX) and os.path.isdir(path):
            found = os.lstat(path)
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > _OLD_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    secret, public = pair()
    folder = tempfile.mkdtemp(prefix=PREFIX)
    with open(os.path.join(folder, "secret"), "w") as file:
        file.write(str(secret))
    return {"public": public, "folder": folder}


def _known(carried: Json) -> Tuple[bytes, str]:
    """The agreed secret, and what was sealed with it; what waited here for that is removed as it is read."""
    folder = carried["folder"]
    names = ["part-%04d" % number for number in range(carried["parts"])]
    try:
        secret, parts = int(_read(folder, "secret")), [_read(folder, name) for name in names]
    except OSError:
        raise ValueError("the key that was agreed on is gone") from None
    shutil.rmtree(folder, ignore_errors=True)
    return shared(secret, carried["public"]), "".join(parts) or carried["sealed"]


def _read(folder: str, name: str) -> str:
    with open(os.path.join(folder, name)) as file:
        return file.read()


def _answered(carried: Json) -> Json:
    if carried.get("agree"):
        return agree()
    agent: Json = {"__name__": "agent"}
    exec(compile(carried["source"], "agent.py", "exec"), agent)
    agent["AGENT"] = carried["agent"]
    if "folder" not in carried:
        return _done(agent, carried["batch"], carried["config"])
    known, text = _known(carried)
    batch = decoded(unsealed(base64.b64decode(text), known, THERE))
    reply = encoded(_done(agent, batch, carried["config"]))
    return {"sealed": base64.b64encode(sealed(reply, known, BACK)).decode()}


def _done(agent: Json, batch: Json, config: Json) -> Json:
    reply: Json = agent["_envelope"]() if batch.get("ping") else agent["handle"](batch, config)
    return reply


def answer(carried: Json) -> Json:
    """The answer, or what went wrong: of an exception its type alone, because its text may hold what was carried."""
    try:
        return _answered(carried)
    except ValueError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001
        return {"error": "unexpected: " + type(error).__name__}


def main(carried: Json, mark: str) -> None:
    """Write the answer; what is longer than the room for it waits in a file."""
    text = base64.b64encode(encoded(answer(carried))).decode()
    room, kept = carried["room"] or len(text), ""
    if len(text) > room:
        kept = os.path.join(tempfile.mkdtemp(prefix=PREFIX), "answer")
        with open(kept, "w") as file:
            file.write(text)
    sys.stdout.write("\n%s:%d:%s\n%s\n" % (mark, len(text), kept, text[:room]))
    sys.stdout.flush()
