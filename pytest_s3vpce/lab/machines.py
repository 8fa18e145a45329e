"""What a script finds on an instance: a folder of its own, a `python3`, its role's credentials, and its network."""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.lab.fleet import brought, instances
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.runtime import INHERITED, REDIRECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_s3vpce.lab.fleet import Instance
    from pytest_s3vpce.lab.keys import Keys
    from pytest_s3vpce.lab.origin import Placement
    from pytest_s3vpce.lab.placement import Placements
    from pytest_s3vpce.lab.state import State

_SESSION_SECONDS: Final = 6 * 3600
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_OWN_PROXY: Final = "S3VPCE_LAB_PROXY"
_PYTHON: Final = f"""\
#!/bin/sh
# Python stands in the subnet by itself, down to timeouts: the lab's proxy is for all other programs.
for name in {" ".join(_PROXIES)}; do
    eval "value=\\${{$name:-}}"
    if [ "$value" = "${_OWN_PROXY}" ]; then unset "$name"; fi
done
exec "PROGRAM" -s "$@"
"""


class Machines:
    """The instances that run commands."""

    def __init__(
        self,
        state: State,
        *,
        keys: Keys,
        placements: Placements,
        folder: Path,
        ca_pem: Path,
        proxy_of: Callable[[Placement], str] | None = None,
        leave: Callable[[Placement], None] | None = None,
    ) -> None:
        """`leave(placement)` is called where an instance is no more; what stood there besides its scripts can go."""
        self._state = state
        self._keys = keys
        self._placements = placements
        self._folder = folder
        self._ca_pem = ca_pem
        self._proxy_of = proxy_of
        self._leave = leave
        self._stand: dict[tuple[str, str], dict[str, set[Placement]]] = {}
        """By account and Region, where instances stood when they ran something."""
        self._lock = threading.Lock()

    def home(self, instance: Instance) -> Path:
        """The instance's folder, and a `python3` on it that is this lab's."""
        folder = self._folder / "instances" / instance.id
        programs = folder / "bin"
        python = programs / "python3"
        with self._lock:
            if not python.exists():
                (folder / "tmp").mkdir(parents=True, mode=0o700)
                programs.mkdir()
                python.write_text(_PYTHON.replace("PROGRAM", sys.executable), encoding="utf-8")
                python.chmod(0o755)
        return folder

    def environment(self, instance: Instance, folder: Path) -> dict[str, str]:
        """As on an instance, but for the role's credentials: they are there without asking the metadata service."""
        assert instance.role is not None
        role = self._state.role(instance.role)
        if role is None:
            raise Refused("InvalidInstanceId", status=400, message="the instance profile's role is gone")
        minted = self._keys.mint(
            role,
            session_name=instance.id,
            now=datetime.now(UTC),
            seconds=_SESSION_SECONDS,
            brought=brought(instance, self._state.topology(instance.account, instance.region)),
        )
        self._stands(instance)
        bundle = str(self._ca_pem)
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(REDIRECT),
            **dict.fromkeys(("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), bundle),
            "AWS_REGION": instance.region,
            "AWS_DEFAULT_REGION": instance.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": minted.access_key_id,
            "AWS_SECRET_ACCESS_KEY": minted.secret_access_key,
            "AWS_SESSION_TOKEN": minted.session_token,
            "S3VPCE_LAB_REDIRECT": str(self._placements.table(instance.placement)),
            **self._proxies(instance.placement),
        }

    def _stands(self, instance: Instance) -> None:
        """Note where an instance stands, and end the placements of those that are no more."""
        home = (instance.account, instance.region)
        there = {row.id for row in instances(self._state, *home) if row.state != "terminated"}
        with self._lock:
            known = self._stand.setdefault(home, {})
            left = [placement for name in known.keys() - there for placement in known.pop(name)]
            known.setdefault(instance.id, set()).add(instance.placement)
            used = {placement for rows in known.values() for placement in rows}
        for placement in set(left) - used:
            self._placements.forget(placement)
            if self._leave is not None:
                self._leave(placement)

    def _proxies(self, placement: Placement) -> dict[str, str]:
        """For programs that are no Python of the lab's: without it they would leave by this machine's own network."""
        if self._proxy_of is None:
            return {}
        proxy = self._proxy_of(placement)
        return {**dict.fromkeys(_PROXIES, proxy), _OWN_PROXY: proxy}
