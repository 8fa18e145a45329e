"""An inventory's accounts in the lab without sockets: clients whose requests are handed to the gateway."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.unit.labstage import REGION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.unit.labstage import Person


class Sessions:
    """Stands for `Accounts`: clients that are handed to the gateway."""

    def __init__(self, admins: dict[str, Person], keys: dict[str, Person]) -> None:
        self._admins = admins
        self._keys = keys
        self._clients: dict[tuple[str, str], Any] = {}
        self.infrastructure = SimpleNamespace(lookups={})

    def client(self, service: str, *, account: str, region: str | None = None) -> Any:
        assert region in (None, REGION)
        if (service, account) not in self._clients:
            self._clients[service, account] = self._admins[account].client(service)
        return self._clients[service, account]

    def signed_session(self, kind: Any, *, region: str) -> Any:
        assert region == REGION
        person = self._keys[kind.principal]
        return SimpleNamespace(client=lambda service, **_: person.client(service))

    def region(self, _account: str) -> str:
        return REGION

    def own_policy(self, _principal: str) -> None:
        return None

    def guard(self, _accounts: Iterable[str]) -> dict[str, Any]:
        return {}
