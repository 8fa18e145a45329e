"""What stands between a vantage point and S3: proxies, and whoever opens TLS on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.model import Answer
    from pytest_s3vpce.run.observed import Observed

_ISSUERS: Final = frozenset({"Amazon", "DigiCert Inc", "DigiCert, Inc."})
"""Of AWS's certificates: https://www.amazontrust.com/repository/ and, in older Regions and partitions, DigiCert."""


def between(seen: Observed, *, certified: bool) -> Iterator[str]:
    """A sentence for each; `certified` where certificates are AWS's own, which a lab's are not."""
    found: dict[str, None] = {}
    for probe, answer in seen.answers.items():
        host = urlsplit(seen.requests[probe].url).hostname or ""
        found.update(dict.fromkeys(_met(answer, probe.cell.vantage, host=host, certified=certified)))
    yield from found


def _met(answer: Answer, vantage: str, *, host: str, certified: bool) -> Iterator[str]:
    if answer.proxy is not None:
        yield f"{vantage} goes by the proxy {answer.proxy}: addresses and paths are the proxy's"
    elif via := answer.headers.get("via"):
        yield f"{vantage}: a proxy on the way says `Via: {' '.join(via.split())[:100]}`"
    if certified and answer.issuer is not None and answer.issuer not in _ISSUERS:
        yield (
            f"{vantage}: TLS to {host} is opened on the way, for its certificate is `{answer.issuer[:100]}`'s and not "
            "Amazon's: who does that reads what is sent, and addresses and paths are its own"
        )
