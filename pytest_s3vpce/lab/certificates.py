"""The lab's certificate authority: a certificate for each name that a client asks for, made on demand."""

from __future__ import annotations

import re
import ssl
import threading
from typing import TYPE_CHECKING

import trustme

from pytest_s3vpce.errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT = 1000
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
# AWS's certificates name an S3 host and one label before it, so https to a bucket with dots in its name fails there.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
_S3_HOST = re.compile(
    r"(?:^|\.)("
    r"(?:(?:bucket|accesspoint|control)\.)?vpce-[a-z0-9-]+\.s3\.[a-z0-9-]+\.vpce"
    r"|s3(?:-[a-z0-9-]+)?(?:\.dualstack)?(?:\.[a-z]{2,4}(?:-[a-z]+)+-[0-9])?"
    r")(\.amazonaws\.(?:com(?:\.cn)?|eu))$"
)


def names_of(server_name: str) -> tuple[str, ...]:
    """The names that the certificate for this server name carries."""
    match = _S3_HOST.search(server_name)
    if match is None:
        return (server_name,)
    host = match[1] + match[2]
    return (host, f"*.{host}")


class Certificates:
    """A certificate authority of its own in `folder`; its private keys stay in memory."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA(organization_name="pytest-s3vpce lab")
        self._lock = threading.Lock()
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        self.ca_pem = folder / "ca.pem"
        """What a client must trust, and all that it may trust: the bundle holds the lab's authority only."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.ca_pem.write_bytes(self._authority.cert_pem.bytes())
        except OSError as failure:
            raise LabError(f"the lab's files can't be written to `{folder}`: {failure.strerror}") from failure
        self.server_context = self.context("localhost")
        self.server_context.sni_callback = self._choose
        self._older: ssl.SSLContext | None = None

    def serving(self, newest: ssl.TLSVersion) -> ssl.SSLContext:
        """The context that a handshake begins with, up to this version of TLS; its server name then chooses another."""
        if newest is not ssl.TLSVersion.TLSv1_2:
            return self.server_context
        with self._lock:
            if self._older is None:
                self._older = self._issue(("localhost", "127.0.0.1"))
                self._older.maximum_version = newest
                self._older.sni_callback = self._choose
            return self._older

    def context(self, server_name: str) -> ssl.SSLContext:
        """A TLS context with a certificate for this name, from the cache if there is one."""
        names = ("localhost", "127.0.0.1") if server_name == "localhost" else names_of(server_name)
        with self._lock:
            context = self._contexts.get(names)
            if context is None:
                context = self._issue(names)
                if len(self._contexts) >= _LIMIT:
                    self._contexts.clear()
                self._contexts[names] = context
            return context

    def _issue(self, names: tuple[str, ...]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._authority.issue_cert(*names).configure_cert(context)
        return context

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        """Answer the handshake's server name; a name that no host can have ends the handshake."""
        if name is None:
            return None
        lowered = name.lower()
        if not _NAME.fullmatch(lowered):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = self.context(lowered)
        return None
