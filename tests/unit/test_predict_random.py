"""Random policy sets and random paths: what is predicted from a snapshot is what the lab's gateway answers.

The snapshot is read by the same calls as anywhere, from a lab without sockets; sessions, requests and the reading of
answers are the product's own. `make soak` takes far more.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pytest_s3vpce.accounts import SessionKind
from pytest_s3vpce.lab.fleet import brought, instances
from pytest_s3vpce.lab.origin import Placement
from pytest_s3vpce.lab.routing import ANY
from pytest_s3vpce.lab.wire import HttpRequest, Unanswered
from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import Answer, Cell, OutcomeKind, SignedRequest, Transport
from pytest_s3vpce.operations import operation
from pytest_s3vpce.outcome import classify
from pytest_s3vpce.policy import Effect
from pytest_s3vpce.predict import Predictor
from pytest_s3vpce.probe import Credentials, Probe, ProbeBuilder, form_of
from pytest_s3vpce.signing_in import role_arguments, session_policy
from pytest_s3vpce.snapshot import Snapshot
from pytest_s3vpce.snapshot.state import unread
from tests.randomly.cells import random_cell
from tests.randomly.policysets import key_keys, network_keys, own_keys, people_keys, request_keys
from tests.randomly.realm import ACCOUNTS, BUCKETS, OWN, OWNER, ROLES, Realm, make, role_arn
from tests.randomly.throws import Round, throw
from tests.unit.labstage import REGION, Person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_s3vpce.predict import Prediction

SOAK = bool(os.environ.get("S3VPCE_SOAK"))
SETS, OF_A_THROW, CELLS = (5000, 50, 4) if SOAK else (200, 25, 3)
"""A set: the policies of a throw that a caller and a bucket meet."""
SEED = int(os.environ.get("S3VPCE_SEED", "9"))
DECIDING = (
    ("explicit", "scp"), ("explicit", "rcp"), ("explicit", "vpc_endpoint"), ("implicit", "vpc_endpoint"),
    ("explicit", "resource"), ("implicit", "resource"), ("explicit", "identity"), ("implicit", "identity"),
    ("explicit", "permissions_boundary"), ("implicit", "permissions_boundary"), ("explicit", "session"),
    ("implicit", "session"), ("explicit", "block_public_access"), ("explicit", "kms"), ("implicit", "kms"),
    ("allow", "resource"), ("allow", "identity"), ("allow", "acl"),
)  # fmt: skip
PEOPLE = (*ROLES, "ann", "anonymous", "url", "own")


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Realm:
    return make(tmp_path_factory.mktemp("random"), random.Random(SEED))


# --- one cell, predicted and asked -----------------------------------------------------------------------------------


def _person(found: Round, probe: Probe) -> Person | None:
    """Whose keys sign: for a role a session as a run makes it."""
    if found.inventory.principals[probe.cell.principal].ambient:
        return _own(found, probe.cell.vantage)
    kind = found.world.session(probe)
    if kind not in found.signed:
        row = found.inventory.principals[kind.principal]
        if row.role is None:
            found.signed[kind] = None if row.anonymous else found.realm.ann
        else:
            own = found.sessions.own_policy(kind.principal)
            text = session_policy(own, kind.policy)
            given = role_arguments(row, resolve=str) | ({"Policy": text} if text else {})
            sts = found.realm.client("sts", ACCOUNTS[ROLES[kind.principal]])
            name = row.session_name or "s3vpce-random"
            made = sts.assume_role(RoleArn=row.role, RoleSessionName=name, **given)["Credentials"]
            found.signed[kind] = Person(
                found.realm.stage, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]
            )
    return found.signed[kind]


def _own(found: Round, vantage: str) -> Person:
    """As the lab gives them to an instance's scripts and to a function."""
    stage, kind = found.realm.stage, SessionKind(f"own:{vantage}")
    made = found.signed.get(kind)
    if made is None:
        if vantage == "instance":
            (machine,) = (row for row in instances(stage.state, OWNER, REGION) if row.role is not None)
            name, keys = machine.id, brought(machine, stage.state.topology(OWNER, REGION))
        else:
            (arn,) = found.realm.named.functions
            name, keys = arn.rpartition(":")[2], (("lambda:SourceFunctionArn", arn),)
        role = stage.state.role(role_arn(OWN[vantage]))
        minted = stage.keys.mint(role, session_name=name, now=datetime.now(UTC), seconds=3600, brought=keys)
        made = Person(stage, minted.access_key_id, minted.secret_access_key, minted.session_token)
        found.signed[kind] = made
    return made


def _request(found: Round, cell: Cell, builder: ProbeBuilder) -> SignedRequest:
    probe = Probe(cell=cell)
    person = _person(found, probe)
    keys = None
    if person is not None:
        keys = Credentials(access_key_id=person.key, secret_access_key=person.secret, session_token=person.token)
    return builder.build(
        probe,
        request_id="0",
        destination=found.world.destination(cell),
        credentials=keys,
        presign=found.world.presign(cell.principal),
    )


def _ask(found: Round, cell: Cell, request: SignedRequest) -> OutcomeKind:
    origin = found.realm.origins[cell.vantage]
    clear = cell.transport is Transport.HTTP
    if isinstance(origin, Placement):
        origin = origin.at(80 if clear else 443, destination=ANY)
    tls = f"TLSv{cell.transport.tls or ('1.2' if cell.vantage == 'interface' else '1.3')}"
    parts = urlsplit(request.url)
    try:
        answer = found.realm.stage.gateway.handle(
            HttpRequest(
                method=request.method,
                target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
                headers=(("Host", parts.netloc), *request.headers),
                body=request.body,
                host=parts.netloc,
                scheme="http" if clear else "https",
                tls=None if clear else tls,
                origin=origin,
                peer="127.0.0.1:1",
            )
        )
    except Unanswered:
        return OutcomeKind.UNREACHABLE
    seen = Answer(
        id="0",
        status=answer.status,
        headers={name.lower(): value for name, value in answer.headers},
        body=answer.body,
    )
    row = operation(cell.operation)
    return classify(seen, operation=row.api_name, authorised=form_of(cell, row).authorised).kind


# --- many ------------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What was seen of all cells."""

    sets: int = 0
    cells: int = 0
    surprises: list[str] = field(default_factory=list)
    unread: list[Any] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    layers: Counter[str] = field(default_factory=Counter)
    by: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    """By a property of cells: how often which outcome at which value."""
    unsaid: Counter[str] = field(default_factory=Counter)
    """Why it was unknown."""

    def count(self, found: Prediction, measured: OutcomeKind) -> None:
        self.cells += 1
        self.outcomes[measured.value] += 1
        if found.expected.denied:
            kind = "explicit" if found.expected is Expected.EXPLICIT_DENY else "implicit"
            self.layers[f"{kind} {found.layer or 'kms'}"] += 1
        if found.expected is Expected.ALLOW and found.decision is not None:
            layers = found.decision.layers
            self.layers.update(f"{effect.value} {name}" for name, effect in layers.items() if effect is Effect.ALLOW)
        if found.expected is Expected.UNKNOWN:
            self.unsaid[found.why] += 1
        cell = found.cell
        host = cell.target.name or "regional"
        for name in ("principal", "vantage", "transport", "operation"):
            self.by.setdefault(name, Counter())[str(getattr(cell, name)), measured.value] += 1
        self.by.setdefault("host", Counter())[host, measured.value] += 1


@pytest.fixture(scope="module")
def tally(realm: Realm) -> Tally:
    found, dice = Tally(), random.Random(SEED)
    builder = ProbeBuilder(user_agent="s3vpce/random")
    while found.sets < SETS:
        one = throw(realm)
        found.unread += [row for row in unread(one.snapshot) if row[1] != "AWS's own"]
        predictor = Predictor(one.snapshot, session_name="s3vpce-random", builder=builder)
        pairs = [(bucket, name) for bucket in BUCKETS for name in PEOPLE]
        for bucket, name in dice.sample(pairs, OF_A_THROW):
            found.sets += 1
            for _ in range(CELLS):
                cell = random_cell(dice, one.inventory, bucket=bucket, principal=name, keys=one.realm.named.keys)
                _compare(one, cell, predictor, builder, found)
    return found


def _compare(one: Round, cell: Cell, predictor: Predictor, builder: ProbeBuilder, tally: Tally) -> None:
    request = _request(one, cell, builder)
    found = predictor.predict(cell, request=request)
    measured = _ask(one, cell, request)
    tally.count(found, measured)
    # What S3 answers with neither a denial nor its opposite is not to be predicted either.
    same = (found.expected.outcome or OutcomeKind.INCONCLUSIVE) is measured
    if same and found.expected.denied and found.decision is not None and not found.action.startswith("kms:"):
        note = one.realm.stage.notes[-1]
        # Of two actions that are refused the lab may ask for the other one first, and for none of who signs nothing.
        one_asked = note.get("action") == found.action
        same = not one_asked or (note["decision"], note["layer"]) == (found.expected.value, found.layer)
    if not same:
        tally.surprises.append("\n".join(_told(found, measured, one)))


def _told(found: Prediction, measured: OutcomeKind, one: Round) -> Iterator[str]:
    yield f"throw {one.realm.number}: {found.cell.id}"
    yield f"predicted {found.expected} ({found.action}): {found.why}; measured {measured}"
    yield from (json.dumps(note, default=str) for note in one.realm.stage.notes[-1:])
    if found.decision is not None:
        yield str(found.decision.explain())


def test_what_is_predicted_is_what_is_measured(tally: Tally) -> None:
    assert tally.unread == []
    assert tally.surprises == []
    assert (tally.sets, tally.cells) == (SETS, SETS * CELLS)


def test_every_layer_decides_about_its_share(tally: Tally) -> None:
    denials: Counter[str] = Counter()
    for (kind, layer), count in ((row, tally.layers[" ".join(row)]) for row in DECIDING):
        denials[f"{kind} {layer}" if SOAK or kind == "allow" else layer] += count
    least = tally.cells // (500 if SOAK else 300)
    assert {name: count for name, count in denials.items() if count < least} == {}, tally.layers
    shares = {name: count / tally.cells for name, count in tally.outcomes.items()}
    assert shares["allowed"] > 0.12, shares
    assert shares["denied"] > 0.3, shares
    assert shares["unreachable"] > 0.05, shares
    assert sum(tally.unsaid.values()) < tally.cells / 100, tally.unsaid


def test_all_kinds_of_cells_are_let_in_and_kept_out(tally: Tally) -> None:
    for name in ("vantage", "transport", "host", *(["principal", "operation"] if SOAK else [])):
        counts, least = tally.by[name], 20 if SOAK and name != "operation" else 1
        wanted = {
            (value, outcome)
            for value, _ in counts
            for outcome in (("unreachable",) if value == "cut" else ("allowed", "denied"))
        }
        assert {row: counts[row] for row in wanted if counts[row] < least} == {}, name


def test_conditions_ask_for_keys_of_all_kinds(realm: Realm, tally: Tally) -> None:
    tables = (network_keys, people_keys, request_keys, key_keys, own_keys)
    known = {name for table in tables for name in table(realm.named)}
    assert tally.cells
    assert len(realm.writer.used) >= (len(known) if SOAK else len(known) * 0.7), known - realm.writer.used


def test_a_snapshot_is_read_back_as_it_was_written(realm: Realm, tally: Tally) -> None:
    assert tally.cells
    one = throw(realm)
    text = one.snapshot.to_json()
    again = Snapshot.from_json(text)
    assert again.to_json() == text
    assert "secret" not in text.lower()
    assert [row.label for row in again.buckets] == list(one.inventory.buckets)
