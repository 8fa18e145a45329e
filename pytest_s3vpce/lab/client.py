"""A running lab from outside: its ready file, and what the `s3vpce lab` commands ask its control API."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab import reports
from pytest_s3vpce.lab.provisioning import AccountSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_REMEDY = "`s3vpce lab --ready-file FILE` writes one"
_SECONDS = 60.0
_QUICK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """The user that may assume an account's administrator role, and the role."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLab:
    """What a ready file says, and requests to the lab that wrote it."""

    file: Path
    urls: Mapping[str, str]
    """`endpoint_url`, `https_endpoint_url` and `proxy_url` of the public internet."""
    ca_bundle: str
    accounts: Mapping[str, AccountSession]
    runners: Mapping[str, Runner]
    """By the account's id."""
    _control: str
    _token: str = field(repr=False)

    def path(self, subnet_id: str, *, security_group_ids: Sequence[str] = ()) -> dict[str, Any]:
        """The lab's addresses as seen from an interface in this subnet, and whose subnet it is."""
        return self._ask("POST", "/path", {"subnet_id": subnet_id, "security_group_ids": list(security_group_ids)})

    def log(self, since: int, *, seconds: float = 0.0) -> tuple[int, list[dict[str, Any]]]:
        """The requests noted from this number on, and the number to go on with."""
        found = self._ask("GET", f"/log?since={since}&seconds={seconds}")
        return found["next"], found["requests"]

    def answers(self) -> bool:
        """Whether the lab still runs."""
        try:
            self._ask("GET", "/lab", within=_QUICK_SECONDS)
        except LabError:
            return False
        return True

    def account(self, name: str) -> AccountSession:
        if name not in self.accounts:
            raise LabError(f"there is no account `{name}` in this lab", remedy=f"it has {', '.join(self.accounts)}")
        return self.accounts[name]

    def account_of(self, account_id: str) -> AccountSession:
        """The keys of the account with this id; there are none of an account that was made later."""
        found = next((entry for entry in self.accounts.values() if entry.account_id == account_id), None)
        if found is None:
            raise LabError(
                f"the ready file has no keys of account `{account_id}`", remedy="name an account with --account"
            )
        return found

    def _ask(
        self, method: str, target: str, body: Mapping[str, Any] | None = None, *, within: float = _SECONDS
    ) -> dict[str, Any]:
        # Not through the proxies of the environment: after `export HTTP_PROXY=...` that would be the lab itself.
        connection = http.client.HTTPConnection(urlsplit(self._control).netloc, timeout=within)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, target, body=payload, headers={"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as failure:
            raise LabError(f"the lab of `{self.file}` does not answer", remedy="start it anew") from failure
        finally:
            connection.close()
        if "lab_error" in found:
            raise reports.load(found["lab_error"])
        if "error" in found:
            raise LabError(f"the lab of `{self.file}` refuses: {found['error']}", remedy="read its ready file anew")
        return found


def running_lab(file: Path) -> RunningLab:
    """The lab that wrote this ready file; LabError where it is none, whether the lab still runs or not."""
    try:
        ready = json.loads(file.read_text(encoding="utf-8"))
        return RunningLab(
            file=file,
            urls={name: str(ready[name]) for name in ("endpoint_url", "https_endpoint_url", "proxy_url")},
            ca_bundle=str(ready["ca_bundle"]),
            accounts={name: _keys(row) for name, row in ready["accounts"].items()},
            runners={row["account_id"]: Runner(**row["runner"]) for row in ready["accounts"].values()},
            _control=str(ready["control_url"]),
            _token=str(ready["control_token"]),
        )
    except OSError as error:
        raise LabError(f"the lab's ready file `{file}` can't be read: {error.strerror}", remedy=_REMEDY) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"`{file}` is no lab's ready file", remedy=_REMEDY) from error


def _keys(row: Mapping[str, str]) -> AccountSession:
    return AccountSession(
        account_id=row["account_id"],
        region=row["region"],
        access_key_id=row["access_key_id"],
        secret_access_key=row["secret_access_key"],
    )
