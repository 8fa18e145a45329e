"""Keys in a snapshot: whether bucket keys are on, aliases in callers' accounts, and what the lab does then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import Cell, Target
from pytest_s3vpce.operations import default_operation
from pytest_s3vpce.predict import Predictor
from pytest_s3vpce.probe import ProbeBuilder
from pytest_s3vpce.references import References
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.snapshotting import take
from pytest_s3vpce.run.world import World
from pytest_s3vpce.snapshot.state import EncryptionRow, ObjectRow
from tests.unit.labaccounts import Sessions
from tests.unit.labstage import LOADER, REGION, Stage, allow, deny, make_role, policy, refusal

if TYPE_CHECKING:
    from pytest_s3vpce.snapshot import Snapshot

MAIN, PARTNER = "742000000001", "742000000002"
ACCOUNTS = {"main": MAIN, "partner": PARTNER}
BAD = 300
BUCKETS = {"sealed": f"sealed-{MAIN}", "named": f"named-{MAIN}", "ours": f"ours-{MAIN}"}
"""Under a bucket key; by an alias that both accounts have; by one that the bucket's account alone has."""


def _key(stage: Stage, account: str, *rows: dict[str, Any], alias: str = "") -> str:
    kms = stage.admin(account).client("kms")
    own = allow("kms:*", Principal={"AWS": account})
    arn: str = kms.create_key(Policy=policy(own, *rows))["KeyMetadata"]["Arn"]
    if alias:
        kms.create_alias(AliasName=alias, TargetKeyId=arn)
    return arn


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(*ACCOUNTS.values())
    s3 = made.admin(MAIN).client("s3")
    outside = {"StringNotEquals": {"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{BUCKETS['sealed']}"}}
    _key(made, MAIN, alias="alias/both")
    _key(made, PARTNER, deny("kms:GenerateDataKey", Principal="*"), alias="alias/both")
    _key(made, MAIN, alias="alias/ours")
    keys = {
        "sealed": _key(made, MAIN, deny("kms:*", Principal="*", Condition=outside)),
        "named": "alias/both",
        "ours": "alias/ours",
    }
    for label, name in BUCKETS.items():
        s3.create_bucket(Bucket=name)
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": keys[label]}
        rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": label == "sealed"}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
        s3.put_object(Bucket=name, Key="canary", Body=b"x")
        to_all = allow("s3:PutObject", f"arn:aws:s3:::{name}/*", Principal={"AWS": PARTNER})
        s3.put_bucket_policy(Bucket=name, Policy=policy(to_all))
    for account in ACCOUNTS.values():
        user = {"AWS": f"arn:aws:iam::{account}:user/s3vpce-runner"}
        make_role(made.admin(account), "app", allow("s3:*"), allow("kms:*"), trust=user)
    return made


@pytest.fixture(scope="module")
def taken(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    inventory = {
        "accounts": {name: {"id": account, "region": REGION} for name, account in ACCOUNTS.items()},
        "principals": {
            name: {"role": f"arn:aws:iam::{account}:role/app", "account": name} for name, account in ACCOUNTS.items()
        },
        "vantage_points": {"here": "local"},
        "buckets": {label: {"name": name, "canary": "canary"} for label, name in BUCKETS.items()},
    }
    folder = tmp_path_factory.mktemp("keys")
    (folder / "s3vpce.yaml").write_text(json.dumps(inventory), encoding="utf-8")
    sessions: Any = Sessions({name: stage.admin(account) for name, account in ACCOUNTS.items()}, {})
    world = World(load_inventory(folder / "s3vpce.yaml"), References(None), sessions, run_id="keys")
    return take(world, Environment(mode="lab", address="198.51.100.10"))


def test_whether_bucket_keys_are_on_is_read(taken: Snapshot) -> None:
    for label in BUCKETS:
        row = taken.bucket(label)
        assert row is not None
        held = row.objects["canary"]
        assert isinstance(row.encryption, EncryptionRow)
        assert isinstance(held, ObjectRow)
        assert row.encryption.bucket_key is held.bucket_key is (label == "sealed")


def test_aliases_are_looked_up_in_callers_accounts(taken: Snapshot) -> None:
    found = {(row.named, row.account) for row in taken.keys if row.named.startswith("alias/")}
    assert found == {("alias/both", MAIN), ("alias/both", PARTNER), ("alias/ours", MAIN)}


@pytest.mark.parametrize(
    ("asked", "expected", "status"),
    [
        (("s3:GetObject", "sealed", "main"), Expected.ALLOW, 200),
        (("s3:PutObject", "sealed", "main"), Expected.ALLOW, 200),
        (("s3:PutObject", "named", "main"), Expected.ALLOW, 200),
        (("s3:PutObject", "named", "partner"), Expected.EXPLICIT_DENY, 403),
        (("s3:PutObject", "ours", "main"), Expected.ALLOW, 200),
        (("s3:PutObject", "ours", "partner"), Expected.UNKNOWN, 400),
    ],
)
def test_predictions_are_what_the_lab_does(
    stage: Stage, taken: Snapshot, asked: tuple[str, str, str], expected: Expected, status: int
) -> None:
    action, label, who = asked
    target, name = Target(bucket=label), default_operation(action).name
    cell = Cell(
        operation=name, action=action, target=target, principal=who, vantage="here", mutating=name == "PutObject"
    )
    predictor = Predictor(taken, builder=ProbeBuilder(user_agent="t", loader=LOADER))
    found = predictor.predict(cell)
    assert found.expected is expected, found.why
    s3 = stage.user(ACCOUNTS[who]).assume(f"arn:aws:iam::{ACCOUNTS[who]}:role/app").client("s3")
    call, key = (s3.get_object, "canary") if action == "s3:GetObject" else (s3.put_object, "new")
    at = {"Bucket": BUCKETS[label], "Key": key}
    assert (call(**at)["ResponseMetadata"]["HTTPStatusCode"] if status < BAD else refusal(call, **at)[0]) == status
