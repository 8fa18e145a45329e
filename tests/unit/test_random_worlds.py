"""Random worlds, open, half closed and broken: no claim that does not hold there is ever proven.

What holds is enumerated from the world itself, not from what the claims look at. `make soak` takes far more worlds.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.claims import (
    BreakGlass,
    Claim,
    CrossAccount,
    EncryptedWrites,
    EndpointPolicyLimits,
    LeastPrivilege,
    NetworkOnly,
    NotPublic,
    PresignedBounded,
    PublicFacts,
    Results,
    SeparateDuties,
    Setting,
    SourceIpOnly,
    TagScoped,
    TlsOnly,
    verdict_of,
)
from pytest_s3vpce.claims.not_public import BLOCKS
from pytest_s3vpce.claims.readings import IMPOSSIBLE
from pytest_s3vpce.claims.setting import row_of
from pytest_s3vpce.matrix import Verdict
from pytest_s3vpce.model import Layer, Outcome, OutcomeKind, Transport
from pytest_s3vpce.policy import Policies, parse
from tests.unit.test_claims import (
    BREAK_GLASS,
    CROSS_ACCOUNT,
    ENCRYPTED_WRITES,
    ENDPOINT_ONLY,
    ENDPOINT_POLICY_LIMITS,
    EVERYTHING,
    EXACTLY,
    GLASS_GONE,
    LEAST_PRIVILEGE,
    MAIN,
    NOT_PUBLIC,
    PARTNER,
    PRESIGNED_BOUNDED,
    SEPARATE_DUTIES,
    SETTING,
    SOURCE_IP_ONLY,
    TAG_SCOPED,
    TLS_12,
    TLS_13,
    TLS_ONLY,
    VANTAGES,
    VPC_ONLY,
    inside_paths,
    reading_holds,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_s3vpce.probe import Probe

WORLDS = 5000 if os.environ.get("S3VPCE_SOAK") else 300
"""For each claim."""
PATHS = ("", MAIN, PARTNER)
ACTIONS = ("GetObject", "PutObject", "ListObjectsV2")

FORMS = {"PutObject": "s3:if-none-match", "ListObjectsV2": "s3:max-keys"}
"""Operations to the condition keys that are set only by what probes send."""
KEYS = ("mine", "next")
LEAST = {("GetObject", "mine"), ("ListObjectsV2", "of-mine")}
MAY = [
    *sorted(LEAST),
    ("GetObject", "next"),
    ("ListObjectsV2", "of-next"),
    ("PutObject", "mine"),
    ("DeleteObject", "mine"),
    ("GetBucketAcl", ""),
]
GLASS = ("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy")
OWN = ("app", "link", "old-link")
BUCKETS = ("reports", "reports+plain", "elsewhere", "control:main", "control:partner")
RESOURCES = {"target": "arn:aws:s3:::r*", "control": "arn:aws:s3:::c*", "elsewhere": "arn:aws:s3:::x*"}
CLOSED = parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::c*"}})
ALLOWED = Outcome(kind=OutcomeKind.ALLOWED)
UNREACHABLE = Outcome(kind=OutcomeKind.UNREACHABLE, reason="cut off")
MISSING = Outcome(kind=OutcomeKind.INCONCLUSIVE, code="NoSuchKey", reason="the canary does not exist")
NO_HANDSHAKE = Outcome(kind=OutcomeKind.INCONCLUSIVE, reason="the TLS handshake failed")
BAD_KEYS = Outcome(kind=OutcomeKind.INCONCLUSIVE, code="ExpiredToken", reason="the session token has expired")


@dataclass(frozen=True)
class World:
    """What is really so. Mostly as the claims want it, with a few things bent."""

    paths: dict[str, str | None]
    """Each vantage point's way: an endpoint, none, or None where it is cut off."""
    denies: frozenset[tuple[str, str]]
    """(operation, path) at which the bucket's own policy denies."""
    denies_http: frozenset[str]
    """Operations that the bucket's own policy denies over http."""
    denies_tls12: frozenset[str]
    """Operations that the bucket's own policy denies over a TLS before 1.3."""
    no_tls13: frozenset[str]
    """Vantage points whose way to S3 has no TLS 1.3."""
    denies_encryptions: frozenset[str]
    """Encryptions of writes that the bucket's own policy denies: a header's value, `none` or `customer`."""
    grants_partner: frozenset[str]
    """Operations that the bucket's own policy allows the partner."""
    open_to_all: frozenset[str]
    """Operations that the bucket's own policy allows everybody."""
    blocks: frozenset[str]
    unread: frozenset[str]
    """What the runner may not read: `own side`, `openness`."""
    endpoint_blocks: frozenset[tuple[str, str]]
    """(endpoint, kind of bucket) that an endpoint's policy does not let through."""
    app_may: frozenset[tuple[str, str]] | None
    """(operation, object's name) that `app`'s own policies allow on the bucket under test; None: everything."""
    glass_flips: frozenset[tuple[str, str]]
    """(principal, operation on the policy) that are let in although not `app`, or kept out although `app`."""
    knows: frozenset[str]
    """Keys by which the bucket's policy tells requests as people send them from what probes send."""
    lost: bool
    """Whether a policy that was really deleted is not back."""
    denies_old: frozenset[str]
    """Operations that the bucket's own policy denies to old signatures."""
    tag_flips: frozenset[tuple[str, str]]
    """(principal, object) that are let in where their tags differ, or kept out where they do not."""
    mistagged: frozenset[str]
    """Principals and objects whose tag is not the one that is said, but the other's."""
    elsewhere_denies: frozenset[str]
    """Paths at which another account's bucket denies by itself."""
    endpoint_blocks_http: frozenset[str]
    identity_blocks: frozenset[tuple[str, str]]
    """(principal, `target` or `control`) that the caller's own policies do not allow."""
    bad_keys: frozenset[str]
    no_port_80: frozenset[str]
    no_canary: frozenset[str]
    portal: bool
    """Whether session policies are ignored: every reading is allowed."""

    def outcome(self, probe: Probe) -> Outcome:
        cell = probe.cell
        path = self.paths[cell.vantage]
        http = cell.transport is Transport.HTTP
        if path is None or (http and cell.vantage in self.no_port_80):
            return UNREACHABLE
        if cell.transport is Transport.TLS13 and cell.vantage in self.no_tls13:
            return NO_HANDSHAKE
        own = cell.principal in OWN
        signer = "app" if own else cell.principal
        if signer in self.bad_keys:
            return BAD_KEYS
        kind = _kind(cell.label)
        if cell.label == "open":
            return ALLOWED
        if (path, kind) in self.endpoint_blocks or (http and path in self.endpoint_blocks_http):
            return self._denied(Layer.VPC_ENDPOINT, named=kind == "control" or (own and kind == "target"))
        if kind == "elsewhere" and path in self.elsewhere_denies:
            return self._denied(Layer.RESOURCE, named=False)
        if kind == "target" and "+" not in cell.label and self._bucket_denies(probe, path, http=http, own=own):
            return self._denied(Layer.RESOURCE, named=own)
        if (signer, kind) in self.identity_blocks:
            return self._denied(Layer.IDENTITY, named=kind == "control" or (own and kind == "target"))
        if cell.target.name in KEYS and cell.principal == "user":
            return MISSING if cell.label in self.no_canary else ALLOWED
        if self.app_may is not None and kind == "target" and own and _asked(probe) not in self.app_may:
            return self._denied(Layer.IDENTITY, named=True)
        if "+" in cell.label and cell.target.name not in KEYS:
            return self._by_tags(probe)
        if not self.portal and not reading_holds(probe, path):
            return self._denied(Layer.SESSION, named=True)
        return MISSING if cell.label in self.no_canary and cell.operation != "ListObjectsV2" else ALLOWED

    def _by_tags(self, probe: Probe) -> Outcome:
        """Objects with tags are scoped by their policy alone."""
        cell = probe.cell
        if cell.principal == "user":
            return MISSING if cell.label in self.no_canary else ALLOWED
        if not self._in_scope(cell.principal, cell.target.name):
            return self._denied(Layer.RESOURCE, named=cell.principal == "app")
        if not self.portal and probe.session_policy == IMPOSSIBLE.policy:
            return self._denied(Layer.SESSION, named=True)
        true = {self._tag(cell.principal), self._tag(cell.target.name), {"app": "red"}.get(cell.principal, "blue")}
        if not self.portal and "PrincipalTag" in probe.session_policy and len(true) > 1:
            return self._denied(Layer.SESSION, named=True)
        return MISSING if cell.label in self.no_canary else ALLOWED

    def _tag(self, name: str) -> str:
        tag = {"app": "red", "ours": "red", "partner": "blue", "theirs": "blue"}.get(name, "")
        return {"red": "blue", "blue": "red"}[tag] if name in self.mistagged else tag

    def _in_scope(self, principal: str, key: str) -> bool:
        return (self._tag(principal) == self._tag(key)) != ((principal, key) in self.tag_flips)

    def _bucket_denies(self, probe: Probe, path: str, *, http: bool, own: bool) -> bool:
        operation = probe.cell.operation
        if operation in GLASS:
            return not self._breaks(probe.cell.principal, operation)
        if not own and not self._granted(probe.cell.principal, operation):
            return True
        if operation == "PutObject" and _encryption(probe) in self.denies_encryptions:
            return True
        if probe.cell.principal == "old-link" and operation in self.denies_old:
            return True
        if probe.cell.transport is Transport.TLS12 and operation in self.denies_tls12:
            return True
        return (operation, path) in self.denies or (http and operation in self.denies_http)

    def _denied(self, layer: Layer, *, named: bool) -> Outcome:
        return Outcome(
            kind=OutcomeKind.DENIED, layer=layer if named else None, code="AccessDenied", reason="AccessDenied"
        )

    # --- what holds --------------------------------------------------------------------------------------------------

    def holds(self, claim: Claim) -> bool:
        """Whether the bucket itself has the property, as far as the claim names it, for whatever people send."""
        cells: Any = claim
        rows = cells.cells(SETTING) if isinstance(claim, TlsOnly) else cells.cells()
        asked = {probe.cell.operation for probe in (*rows.allowed, *rows.denied) if probe.cell.label == "reports"}
        return not {key for name, key in FORMS.items() if name in asked} & self.knows and self._holds(claim)

    def _holds(self, claim: Claim) -> bool:
        if isinstance(claim, NetworkOnly):
            inside = inside_paths(claim)
            closed = all(
                self.paths[vantage] not in (None, *inside) and (operation, self.paths[vantage]) in self.denies
                for vantage in claim.outside
                for operation in ("GetObject", "PutObject")
            )
            return closed and all(self.paths[vantage] in inside for vantage in claim.inside) and self._open_at(inside)
        if isinstance(claim, TlsOnly):
            over = {"GetObject", "ListObjectsV2"}
            older = {"": over, "1.2": over - self.denies_tls12, "1.3": self.denies_tls12}[claim.minimum]
            return over <= self.denies_http and over <= older
        if isinstance(claim, EndpointPolicyLimits):
            ways = {self.paths[vantage] for vantage in claim.inside}
            return ways == {MAIN} and (MAIN, "elsewhere") in self.endpoint_blocks
        if isinstance(claim, SeparateDuties):
            reads, writes = _names(claim.reads), _names(claim.writes)
            duties = {
                *((vantage, name, name in reads) for vantage in claim.read_at for name in reads | writes),
                *((vantage, name, name in writes) for vantage in claim.write_at for name in reads | writes),
                *((vantage, name, False) for vantage in claim.outside for name in reads | writes),
            }
            return all(((name, self.paths[vantage]) not in self.denies) is let for vantage, name, let in duties)
        if isinstance(claim, PresignedBounded):
            names = _names(claim.actions)
            shut = {(name, self.paths[vantage]) for name in names for vantage in claim.outside} <= self.denies
            open_inside = not {(name, self.paths[vantage]) for name in names for vantage in claim.inside} & self.denies
            return shut and open_inside and names <= self.denies_old
        if isinstance(claim, LeastPrivilege):
            tried = {_asked(probe) for probe in (*claim.cells().allowed, *claim.cells().denied)}
            listed = (
                "ListObjectsV2",
                self.paths[claim.at],
            ) not in self.denies  # objects with names have their own policy
            return self.app_may is not None and tried & self.app_may == LEAST and listed
        if isinstance(claim, BreakGlass):
            asked_of = GLASS if claim.mutating else GLASS[:2]
            rows = {(*pair, name) for pair in (*claim.administrators, *claim.others) for name in asked_of}
            let = {
                row for row in rows if self._breaks(row[0], row[2]) and (row[0], "target") not in self.identity_blocks
            }
            back = not (claim.mutating and self.lost)
            return back and let == {row for row in rows if row[:2] in claim.administrators}
        if isinstance(claim, TagScoped):
            named = {(scope.principal, scope.key[0]) for scope in claim.scopes}
            tried = {(who, key) for who, _ in named for key in ("ours", "theirs", "plain")}
            return not self.mistagged and {pair for pair in tried if self._in_scope(*pair)} == named
        if isinstance(claim, EncryptedWrites):
            return self.denies_encryptions == NOT_DEMANDED
        if isinstance(claim, NotPublic):
            strangers = [(who, place, name) for who in claim.principals for place in claim.at for name in ACTIONS]
            shut = not any(self._lets_in(*row) for row in strangers)
            return shut and not self.open_to_all and self.blocks == frozenset(BLOCKS)
        assert isinstance(claim, CrossAccount)
        wanted = {(*pair, name) for pair in claim.granted for name in _names(claim.actions)}
        asked = {
            (*pair, name)
            for pair in (*claim.granted, *claim.refused)
            for name in _names((*claim.actions, *claim.operations))
        }
        return {row for row in asked if self._lets_in(*row)} == wanted

    def _breaks(self, principal: str, operation: str) -> bool:
        return (principal == "app") != ((principal, operation) in self.glass_flips)

    def _granted(self, principal: str, operation: str) -> bool:
        return operation in self.open_to_all or (principal == "partner" and operation in self.grants_partner)

    def _lets_in(self, principal: str, vantage: str, operation: str) -> bool:
        """Whether the bucket's policy allows one of another account to do it from there."""
        return self._granted(principal, operation) and (operation, self.paths[vantage]) not in self.denies

    def _open_at(self, inside: set[str]) -> bool:
        return not {(operation, path) for operation in ("GetObject", "PutObject") for path in inside} & self.denies


def _kind(label: str) -> str:
    """What a bucket is in these worlds: a control bucket, the one under test, or another account's."""
    return "target" if label.partition("+")[0] == "reports" else label.partition(":")[0]


def _asked(probe: Probe) -> tuple[str, str]:
    """The operation, and the object's name or the listing's."""
    return probe.cell.operation, probe.cell.target.name or probe.cell.variant


def _names(actions: Iterable[str]) -> set[str]:
    return {row_of(name).name for name in actions}


def _encryption(probe: Probe) -> str:
    parameters = probe.cell.parameters
    if "SSECustomerAlgorithm" in parameters:
        return "customer"
    return str(parameters.get("ServerSideEncryption", "none"))


NOT_DEMANDED = frozenset({"none", "aws:kms", "aws:kms:dsse", "customer"})
"""What is refused where AES256 is demanded."""
GOOD = World(
    paths=dict(VANTAGES),
    denies=frozenset((operation, path) for operation in ACTIONS for path in ("", PARTNER)),
    denies_http=frozenset(ACTIONS),
    denies_tls12=frozenset(),
    no_tls13=frozenset(),
    denies_encryptions=frozenset(),
    grants_partner=frozenset({"GetObject"}),
    open_to_all=frozenset(),
    blocks=frozenset(BLOCKS),
    unread=frozenset(),
    endpoint_blocks=frozenset(),
    app_may=None,
    glass_flips=frozenset(),
    knows=frozenset(),
    lost=False,
    denies_old=frozenset(ACTIONS),
    tag_flips=frozenset(),
    mistagged=frozenset(),
    elsewhere_denies=frozenset(),
    endpoint_blocks_http=frozenset(),
    identity_blocks=frozenset(),
    bad_keys=frozenset(),
    no_port_80=frozenset(),
    no_canary=frozenset(),
    portal=False,
)


def bent(dice: random.Random, base: World) -> World:
    """The world with one thing changed."""
    vantage = dice.choice(list(VANTAGES))
    kind = dice.choice(["target", "control", "elsewhere"])
    who = dice.choice(["app", "partner"])
    operation, path = dice.choice(ACTIONS), dice.choice(PATHS)
    encryption = dice.choice([*sorted(NOT_DEMANDED), "AES256"])
    return dice.choice(
        [
            replace(base, paths={**base.paths, vantage: dice.choice([*PATHS, None])}),
            replace(base, denies=base.denies ^ {(operation, path)}),
            replace(base, denies=base.denies - {(name, path) for name in ACTIONS}),
            replace(base, denies=frozenset()),
            replace(base, denies_http=base.denies_http - {operation}),
            replace(base, denies_tls12=base.denies_tls12 ^ {operation}),
            replace(base, no_tls13=base.no_tls13 ^ {vantage}),
            replace(base, denies_encryptions=base.denies_encryptions ^ {encryption}),
            replace(base, grants_partner=base.grants_partner ^ {operation}),
            replace(base, endpoint_blocks=base.endpoint_blocks ^ {(dice.choice([MAIN, PARTNER]), kind)}),
            base if base.app_may is None else replace(base, app_may=base.app_may ^ {dice.choice(MAY)}),
            replace(base, glass_flips=base.glass_flips ^ {(dice.choice([who, "anonymous"]), dice.choice(GLASS))}),
            replace(base, knows=base.knows ^ {dice.choice(sorted(FORMS.values()))}),
            replace(base, lost=not base.lost),
            replace(base, denies_old=base.denies_old ^ {operation}),
            replace(base, tag_flips=base.tag_flips ^ {(who, dice.choice(["ours", "theirs", "plain"]))}),
            replace(base, mistagged=base.mistagged ^ {dice.choice(["app", "partner", "ours", "theirs"])}),
            replace(base, elsewhere_denies=base.elsewhere_denies ^ {path}),
            replace(base, endpoint_blocks_http=base.endpoint_blocks_http | {dice.choice([MAIN, PARTNER])}),
            replace(base, identity_blocks=base.identity_blocks | {(who, kind)}),
            replace(base, bad_keys=base.bad_keys | {who}),
            replace(base, no_port_80=base.no_port_80 | {vantage}),
            replace(
                base,
                no_canary=base.no_canary | {dice.choice(["reports", "elsewhere", "control:main", "control:partner"])},
            ),
            replace(base, portal=not base.portal),
            replace(base, open_to_all=base.open_to_all ^ {operation}),
            replace(base, blocks=base.blocks ^ {dice.choice(BLOCKS)}),
            replace(base, unread=base.unread | {dice.choice(["own side", "openness"])}),
        ]
    )


def verdict(claim: Claim, world: World) -> tuple[Verdict, str]:
    setting = _setting(world)
    outcomes = {probe: world.outcome(probe) for probe in claim.probes(setting)}
    canaries = {
        name: (name not in world.no_canary, "the canary's reading")
        for name in ("reports", "reports+plain", "elsewhere")
    }
    policies = {"reports": (not world.lost, "the policy's reading")}
    results = Results(outcomes=outcomes, canaries=canaries, policies=policies)
    found, sentence, _ = verdict_of(claim.judge(setting, results))
    return found, sentence


def _setting(world: World) -> Setting:
    """The endpoints' policies as they can be read: those that block something say so."""
    endpoints = {name: replace(facts, policy=_policy(world, name)) for name, facts in SETTING.endpoints.items()}
    partner = CLOSED if ("partner", "target") in world.identity_blocks else EVERYTHING
    own = {} if "own side" in world.unread else {"partner": Policies(identity=(partner,))}
    openness = PublicFacts(policy_is_public=bool(world.open_to_all), blocks=world.blocks)
    public = {"reports": PublicFacts() if "openness" in world.unread else openness}
    return replace(SETTING, endpoints=endpoints, own_policies=own, public=public, policy_keys={"reports": world.knows})


def _policy(world: World, endpoint: str) -> str:
    shut = {kind for name, kind in world.endpoint_blocks if name == endpoint}
    shut |= {"target"} if endpoint in world.endpoint_blocks_http else set()
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*"}
    arns = [arn for kind, arn in RESOURCES.items() if kind not in shut]
    return json.dumps({"Statement": [{**statement, "Resource": arn} for arn in arns]})


# In these worlds the refused and outside cells of a claim differ from the allowed ones by their path alone.
CLAIMS: list[Claim] = [
    ENDPOINT_ONLY,
    VPC_ONLY,
    SOURCE_IP_ONLY,
    TLS_ONLY,
    TLS_12,
    TLS_13,
    CROSS_ACCOUNT,
    replace(EXACTLY, operations=("s3:GetObject", "s3:PutObject", "s3:ListBucket")),
    ENCRYPTED_WRITES,
    replace(NOT_PUBLIC, actions=("s3:GetObject", "s3:PutObject", "s3:ListBucket")),
    ENDPOINT_POLICY_LIMITS,
    SEPARATE_DUTIES,
    TAG_SCOPED,
    PRESIGNED_BOUNDED,
    BREAK_GLASS,
    GLASS_GONE,
    LEAST_PRIVILEGE,
]


DUTIES = {("GetObject", MAIN), ("ListObjectsV2", MAIN), ("PutObject", PARTNER)}


def good_world(claim: Claim) -> World:
    """The world in which a claim holds: the bucket is open where the claim wants it to be."""
    if isinstance(claim, CrossAccount):
        return replace(GOOD, denies=GOOD.denies - {(name, PARTNER) for name in ACTIONS})
    if isinstance(claim, EncryptedWrites):
        return replace(GOOD, denies_encryptions=NOT_DEMANDED)
    if isinstance(claim, TlsOnly) and claim.minimum == "1.3":
        return replace(GOOD, denies_tls12=frozenset(ACTIONS))
    if isinstance(claim, EndpointPolicyLimits):
        return replace(GOOD, endpoint_blocks=frozenset({(MAIN, "elsewhere")}))
    if isinstance(claim, LeastPrivilege):
        return replace(GOOD, app_may=frozenset(LEAST))
    if isinstance(claim, SeparateDuties):
        return replace(GOOD, denies=frozenset((name, path) for name in ACTIONS for path in PATHS) - DUTIES)
    if isinstance(claim, NotPublic):
        return replace(GOOD, grants_partner=frozenset())
    if isinstance(claim, SourceIpOnly):
        return replace(GOOD, denies=frozenset((operation, path) for operation in ACTIONS for path in (MAIN, PARTNER)))
    return GOOD


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.kind if hasattr(claim, "kind") else claim.id)
def test_the_good_world_proves_each_claim(claim: Claim) -> None:
    world = good_world(claim)
    assert world.holds(claim)
    assert verdict(claim, world)[0] is Verdict.PROVEN


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_no_claim_that_does_not_hold_is_proven(claim: Claim) -> None:
    proven = refuted = 0
    for seed in range(WORLDS):
        dice = random.Random(f"{claim.id} {seed}")
        world = good_world(claim)
        for _ in range(dice.randint(1, 4)):
            world = bent(dice, world)
        found, sentence = verdict(claim, world)
        if found is Verdict.PROVEN:
            proven += 1
            assert world.holds(claim), (seed, world, sentence)
        refuted += found is Verdict.REFUTED
    assert proven > WORLDS / 50, "the worlds are too broken to show anything"
    assert refuted > WORLDS / 50
