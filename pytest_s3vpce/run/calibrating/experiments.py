"""The experiments by their names, and what each needs that not every calibration is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.calibration import LEFT_OUT, NOT_RUN, Finding
from pytest_s3vpce.errors import RunError
from pytest_s3vpce.run.calibrating.inside import endpoints, gateways, other_regions
from pytest_s3vpce.run.calibrating.measuring import propagation
from pytest_s3vpce.run.calibrating.ordering import forms, order
from pytest_s3vpce.run.calibrating.organization import organizations
from pytest_s3vpce.run.calibrating.partner import other_accounts
from pytest_s3vpce.run.calibrating.policies import access_points, bucket_policies, messages, public_policies
from pytest_s3vpce.run.calibrating.reading import absent_keys, attributes, functions, keys
from pytest_s3vpce.undocumented import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_s3vpce.run.calibrating.asking import Asker

    Run = Callable[[Asker], Iterator[Finding]]

_INSIDE: Final = "--inside NAME (a vantage point of the inventory, made in subnets of the account)"
_ENDPOINT: Final = "--inside NAME and --with-endpoint (an interface endpoint is made there)"
_PARTNER: Final = "--inside NAME, --with-endpoint and --partner NAME (another account of the organization)"
_FAR: Final = "--inside NAME, --with-endpoint and --other-region REGION (a bucket is made there)"
_OPTIONS: Final = {"endpoint": "--with-endpoint", "partner": "--partner", "far": "--other-region"}
"""Those that do nothing by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a calibration may use or make besides a bucket and roles."""

    function: str = ""
    """`made`: a function outside of VPCs."""
    inside: str = ""
    """The vantage point of the inventory in whose place a function is made."""
    endpoint: str = ""
    """`made`: an interface endpoint there."""
    organization: str = ""
    """The management account of the organization, by its name in the inventory."""
    partner: str = ""
    """Another account of the organization, by its name in the inventory."""
    far: str = ""
    """Another Region, to which another endpoint leads."""
    only: frozenset[str] = frozenset()
    """The experiments that are wanted; none named is all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is asked, and what it takes besides the account: something given, and what that is in words."""

    run: Run | None
    """None: nothing yet."""
    takes: tuple[str, ...] = ()
    needs: str = ""

    def why_not(self, name: str, given: Given) -> str:
        """Why it is not done; empty where it is."""
        if given.only and name not in given.only:
            return f"{NOT_RUN}: {LEFT_OUT}"
        return f"{NOT_RUN}: needs {self.needs}" if self.lacks(given) else ""

    def lacks(self, given: Given) -> bool:
        """Whether it can't be done."""
        return self.run is None or not all(getattr(given, name) for name in self.takes)


EXPERIMENTS: Final[dict[str, Experiment]] = {
    "forms": Experiment(run=forms),
    "order": Experiment(run=order),
    "messages": Experiment(run=messages),
    "keys": Experiment(run=keys),
    "absent keys": Experiment(run=absent_keys),
    "attributes": Experiment(run=attributes),
    "bucket policies": Experiment(run=bucket_policies),
    "propagation": Experiment(run=propagation),
    "public policies": Experiment(run=public_policies),
    "access points": Experiment(run=access_points),
    "asymmetric signatures": Experiment(
        run=None, needs="a signer of SigV4A, which this version has not, and a multi-Region access point"
    ),
    "functions": Experiment(
        run=functions, takes=("function",), needs="--with-function, which makes a Lambda function outside of VPCs"
    ),
    "organizations": Experiment(
        run=organizations,
        takes=("organization",),
        needs="--organization NAME (the management account, by its name in the inventory)",
    ),
    "gateways": Experiment(run=gateways, takes=("inside",), needs=_INSIDE),
    "endpoints": Experiment(run=endpoints, takes=("inside", "endpoint"), needs=_ENDPOINT),
    "other accounts": Experiment(run=other_accounts, takes=("inside", "endpoint", "partner"), needs=_PARTNER),
    "other Regions": Experiment(run=other_regions, takes=("inside", "endpoint", "far"), needs=_FAR),
}
"""By the names that rules have their experiment by; `messages` are completed by `bucket policies`."""


def wanted(names: Iterable[str]) -> frozenset[str]:
    """These experiments; RunError where one is none."""
    for name in names:
        if name not in EXPERIMENTS:
            raise RunError(f"there is no experiment `{name}`", remedy=f"known are {', '.join(EXPERIMENTS)}")
    return frozenset(names)


def check(given: Given) -> None:
    """Before anything is made: RunError where what is given or wanted comes to nothing for want of something else."""
    for name, option in _OPTIONS.items():
        takers = [row for row in EXPERIMENTS.values() if name in row.takes]
        if getattr(given, name) and all(row.lacks(given) for row in takers):
            raise RunError(f"{option} alone comes to nothing", remedy=f"give {takers[0].needs}")
    for name in sorted(given.only):
        if EXPERIMENTS[name].lacks(given):
            raise RunError(f"experiment `{name}` can't be done", remedy=f"it needs {EXPERIMENTS[name].needs}")


def not_run(name: str, why: str) -> Iterator[Finding]:
    """What is said of an experiment's rules where it was not done."""
    return (Finding(rule=rule.name, value=why) for rule in RULES.values() if rule.experiment == name)
