"""A whole lab put together: state, server, placements, functions, and the gateway in their midst."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.calibration import NONE
from pytest_s3vpce.errors import LabError
from pytest_s3vpce.lab.certificates import Certificates
from pytest_s3vpce.lab.control import Control
from pytest_s3vpce.lab.delays import USUAL, Delays
from pytest_s3vpce.lab.doors import Doors
from pytest_s3vpce.lab.enforcement import Enforcement
from pytest_s3vpce.lab.gateway import Gateway
from pytest_s3vpce.lab.journal import Journal
from pytest_s3vpce.lab.keys import Keys
from pytest_s3vpce.lab.onuse import OnUse
from pytest_s3vpce.lab.origin import Internet, Proxied, source_of
from pytest_s3vpce.lab.placement import Placements
from pytest_s3vpce.lab.principals import access_keys
from pytest_s3vpce.lab.process import check_packages
from pytest_s3vpce.lab.provisioning import AccountSession
from pytest_s3vpce.lab.readying import no_region, regions
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import partition_of
from pytest_s3vpce.lab.routing import Routing
from pytest_s3vpce.lab.server import Server
from pytest_s3vpce.lab.state import State
from pytest_s3vpce.lab.wire import Unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_s3vpce.calibration import Calibration
    from pytest_s3vpce.lab.attempts import Attempt
    from pytest_s3vpce.lab.compute import Functions, FunctionSpec
    from pytest_s3vpce.lab.origin import Origin, Placement
    from pytest_s3vpce.lab.resources import RunnerKeys
    from pytest_s3vpce.lab.ssm import Ssm
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse

_FUNCTION_SESSION_SECONDS = 12 * 3600


class Lab:
    """A lab that answers; its accounts have their runner, and are otherwise empty."""

    def __init__(
        self,
        *,
        folder: Path,
        accounts: Mapping[str, tuple[str, str]],
        port: int = 0,
        enforce: Enforcement = Enforcement.DEFAULT,
        log: Path | None = None,
        delays: Delays = USUAL,
        calibration: Calibration = NONE,
    ) -> None:
        check_packages()
        _check_accounts(accounts)
        self._accounts = accounts
        self.state = State()
        self.keys = Keys(self.state)
        self._folder = folder
        self._certificates = Certificates(folder)
        self._journal = Journal(log)
        routing = Routing(self.state, calibration=calibration)
        self._server = Server(self._handle, certificates=self._certificates, gate=self._gate, newest=routing.newest_tls)
        self._control: Control | None = None
        try:
            self._listener = self._server.listen(Internet(), port=port)
            self._placements = Placements(
                self._server,
                folder=folder,
                verdict=routing.verdict,
                resolver=routing.names,
                address=routing.address,
                lost=self._lost,
            )
            self._functions = OnUse(self._make_functions)
            self._ssm = OnUse(self._make_ssm)
            self._gateway = self._make_gateway(enforce=enforce, delays=delays, calibration=calibration)
            self.state.on_network_change(self._placements.refresh)
            self._doors = Doors(self._server, state=self.state, routing=routing)
            self.state.on_network_change(self._doors.refresh)
            self._roots = {name: self._root_keys(*accounts[name]) for name in accounts}
            self._runners = {name: self.state.make_account(*accounts[name]) for name in accounts}
            self._control = Control(doors=self._doors, journal=self._journal)
        except BaseException:
            self._server.close()
            self._journal.close()
            raise

    def _make_gateway(self, *, enforce: Enforcement, delays: Delays, calibration: Calibration) -> Gateway:
        return Gateway(
            self.state,
            keys=self.keys,
            functions=self._functions,
            ssm=self._ssm,
            enforce=enforce,
            log=self._journal.add,
            delays=delays,
            calibration=calibration,
        )

    def load(self) -> None:
        """Load what most labs need, and see that it is read rightly; LabError where it is not.

        Requests are answered meanwhile, each as soon as what it needs is there.
        """
        self.state.load()
        for account, region in self._accounts.values():
            self.state.topology(account, region)  # refuses a Region that has no networks
        if wrong := self.state.self_check():
            raise LabError(
                f"this version of moto is not read rightly: {'; '.join(wrong)}",
                remedy="pip install 'pytest-s3vpce[lab]'",
            )

    def _make_functions(self) -> Functions:
        from pytest_s3vpce.lab.compute import Functions

        return Functions(
            folder=self._folder,
            placements=self._placements,
            ca_pem=self._certificates.ca_pem,
            credentials=self.credentials,
        )

    def _make_ssm(self) -> Ssm:
        from pytest_s3vpce.lab.machines import Machines
        from pytest_s3vpce.lab.ssm import Ssm

        machines = Machines(
            self.state,
            keys=self.keys,
            placements=self._placements,
            folder=self._folder,
            ca_pem=self._certificates.ca_pem,
            proxy_of=self._doors.proxy_of,
            leave=self._doors.forget,
        )
        return Ssm(self.state, machines)

    @property
    def endpoint_url(self) -> str:
        return f"http://{self._listener.host}:{self._listener.port}"

    @property
    def ca_bundle(self) -> str:
        return str(self._certificates.ca_pem)

    def sessions(self) -> Mapping[str, AccountSession]:
        """The accounts' root keys, for the provisioning."""
        return self._roots

    def ready(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the ready file says: where the lab is, and the keys of its accounts."""
        assert self._control is not None
        return {
            "endpoint_url": self.endpoint_url,
            "https_endpoint_url": self.endpoint_url.replace("http:", "https:"),
            "proxy_url": self.endpoint_url,
            "ca_bundle": self.ca_bundle,
            "control_url": self._control.url,
            "control_token": self._control.token,
            "accounts": {name: _account(root, self._runners[name]) for name, root in self._roots.items()},
            "outputs": dict(outputs),
        }

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
        for part in (self._functions.made, self._ssm.made):
            if part is not None:
                part.close()
        self._placements.close()
        self._doors.close()
        self._server.close()

    def credentials(self, function: FunctionSpec) -> Mapping[str, str]:
        """The environment of a function's role session, named after the function.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        """
        role = self.state.role(function.role_arn)
        if role is None:
            message = "The role defined for the function cannot be assumed by Lambda."
            raise Refused("InvalidParameterValueException", status=400, message=message)
        minted = self.keys.mint(
            role,
            session_name=function.name,
            now=datetime.now(UTC),
            seconds=_FUNCTION_SESSION_SECONDS,
            brought=(("lambda:SourceFunctionArn", function.arn),),
        )
        return {
            "AWS_ACCESS_KEY_ID": minted.access_key_id,
            "AWS_SECRET_ACCESS_KEY": minted.secret_access_key,
            "AWS_SESSION_TOKEN": minted.session_token,
        }

    def _handle(self, request: HttpRequest) -> HttpResponse:
        return self._gateway.handle(request)

    def _lost(self, origin: Placement, attempt: Attempt) -> None:
        self._gateway.attempted(origin, attempt)

    def _gate(self, stated: Origin | Proxied, host: str, port: int) -> Origin:
        try:
            return self._doors.gate(stated, host, port)
        except Unanswered as lost:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            asked = {"service": "proxy", "operation": f"{host}:{port}", "status": None, "reason": str(lost)}
            source = stated.placement if isinstance(stated, Proxied) else stated
            self._journal.add({"at": at, "source": source_of(source), **asked})
            raise

    def _root_keys(self, account: str, region: str) -> AccountSession:
        access_key_id, secret = access_keys()
        made = AccountSession(account_id=account, region=region, access_key_id=access_key_id, secret_access_key=secret)
        self.keys.add_root(made.access_key_id, made.secret_access_key, account=account, partition=partition_of(region))
        return made


def _check_accounts(accounts: Mapping[str, tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    known = regions()
    for name, (account, region) in accounts.items():
        if region not in known:
            raise no_region(region)
        if account in seen:
            raise LabError(
                f"accounts `{seen[account]}` and `{name}` have one id, `{account}`", remedy="give each its own"
            )
        seen[account] = name


def _account(root: AccountSession, runner: RunnerKeys) -> dict[str, Any]:
    return {
        "account_id": root.account_id,
        "access_key_id": root.access_key_id,
        "secret_access_key": root.secret_access_key,
        "region": root.region,
        "runner": {
            "access_key_id": runner.access_key_id,
            "secret_access_key": runner.secret_access_key,
            "role": runner.role,
        },
    }
