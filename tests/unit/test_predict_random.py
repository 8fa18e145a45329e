"""Random policy sets and random paths: what is predicted from a snapshot is what the lab's gateway answers.

The snapshot is read by the same calls as anywhere, from a lab without sockets. `make soak` takes far more.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pytest_s3vpce.inventory import load_inventory
from pytest_s3vpce.lab.origin import Internet, Placement
from pytest_s3vpce.lab.routing import ANY
from pytest_s3vpce.lab.wire import HttpRequest, Unanswered
from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.model import Answer, Cell, OutcomeKind, SignedRequest, Target, Transport
from pytest_s3vpce.operations import operation
from pytest_s3vpce.outcome import classify
from pytest_s3vpce.predict import Predictor
from pytest_s3vpce.predict.case import Cases
from pytest_s3vpce.probe import Credentials, Destination, Host, Probe, ProbeBuilder
from pytest_s3vpce.references import References
from pytest_s3vpce.run.environment import Environment
from pytest_s3vpce.run.snapshotting import take
from pytest_s3vpce.run.world import World
from pytest_s3vpce.snapshot import Snapshot
from pytest_s3vpce.snapshot.state import unread
from tests.unit import labnetwork
from tests.unit.labaccounts import Sessions
from tests.unit.labstage import REGION, Person, Stage, policy

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_s3vpce.inventory import Inventory
    from pytest_s3vpce.lab.origin import Origin
    from pytest_s3vpce.predict import Prediction

SOAK = bool(os.environ.get("S3VPCE_SOAK"))
SETS, BUCKETS, ROLES = (5000, 120, 40) if SOAK else (200, 16, 8)
SEED = int(os.environ.get("S3VPCE_SEED", "7"))
OWNER, PARTNER = "730000000001", "730000000002"
KEY = "canary"
LOCAL = Internet()
OPERATIONS = ("GetObject", "GetObject", "PutObject", "ListObjectsV2", "DeleteObject", "GetObjectTagging", "HeadBucket")
ENCRYPTED = {"ServerSideEncryption": "AES256"}


@dataclass
class Scene:
    """The lab with everything random in it, its inventory, and one snapshot of it."""

    stage: Stage
    inventory: Inventory
    world: World
    snapshot: Snapshot
    origins: dict[str, Origin]
    people: dict[str, Person | None]
    sts: dict[str, Any]
    """By account: a client takes longer to make than most that it is asked."""


class Chooser:
    """Random policies about what is there."""

    def __init__(self, seed: int, *, values: dict[str, tuple[Any, ...]], arns: tuple[str, ...]) -> None:
        self.random = random.Random(seed)
        self._values = values
        self._arns = arns

    def conditions(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self.random.choice((0, 0, 1, 1, 2))):
            key = self.random.choice(tuple(self._values))
            if key == "aws:SourceIp":
                operator = self.random.choice(("IpAddress", "NotIpAddress", "NotIpAddressIfExists"))
            elif key == "aws:SecureTransport":
                operator = "Bool"
            elif key.startswith("Null "):
                found.setdefault("Null", {})[key.removeprefix("Null ")] = self.random.choice(("true", "false"))
                continue
            else:
                operator = self.random.choice(
                    ("StringEquals", "StringNotEquals", "StringEqualsIfExists", "StringNotEqualsIfExists")
                )
                operator = self.random.choice(("", "", "", "ForAllValues:", "ForAnyValue:")) + operator
            found.setdefault(operator, {})[key] = self.random.choice(self._values[key])
        return found

    def statement(self, bucket: str, *, allows: float, principals: bool) -> dict[str, Any]:
        allow = self.random.random() < allows
        both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        action = self.random.choice(("s3:*", "s3:*", "s3:GetObject", ["s3:Get*", "s3:List*"], "s3:PutObject"))
        whole = ("s3:*", ["s3:Get*", "s3:List*"])
        row: dict[str, Any] = {
            "Effect": "Allow" if allow else "Deny",
            "Action": action,
            "Resource": self.random.choice((both, both, both[1], both[0] if action in whole else both)),
        }
        if principals:
            row["Principal"] = self.random.choice(("*", {"AWS": "*"}, {"AWS": self.random.choice(self._arns)}))
        conditions = self.conditions()
        if principals and not allow:
            # The administrator reads the snapshot, and may not be shut out.
            conditions["ArnNotEquals"] = {"aws:PrincipalArn": f"arn:aws:iam::{OWNER}:role/s3vpce-runner"}
        return {**row, **({"Condition": conditions} if conditions else {})}

    def text(self, bucket: str, *, allows: float, principals: bool, wide: float) -> str:
        rows = [self.statement(bucket, allows=allows, principals=principals) for _ in range(self.random.randint(1, 3))]
        if self.random.random() < wide:
            both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
            whole: dict[str, Any] = {"Effect": "Allow", "Action": "s3:*", "Resource": both}
            rows.append({**whole, "Principal": "*"} if principals else whole)
        return policy(*rows)


def _networks(stage: Stage) -> tuple[dict[str, Origin], dict[str, str], dict[str, tuple[str, str, str]]]:
    """Places of every kind: by a gateway endpoint, a NAT, an interface endpoint, cut off, in the other account."""
    main = labnetwork.make(stage.admin(OWNER), OWNER, "10.1")
    side = labnetwork.make(stage.admin(OWNER), OWNER, "10.2")
    other = labnetwork.make(stage.admin(PARTNER), PARTNER, "10.3")
    gateway, abroad = main.gateway()["VpcEndpointId"], other.gateway()["VpcEndpointId"]
    interface = side.interface(PrivateDnsEnabled=True)["VpcEndpointId"]
    for port in (80, 443):
        side.let_in("10.2.0.0/16", port)
    ec2 = main.ec2
    lone = ec2.create_route_table(VpcId=main.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=lone, SubnetId=main.b)
    public = ec2.create_subnet(VpcId=main.vpc, CidrBlock="10.1.9.0/24")["Subnet"]["SubnetId"]
    way_out = ec2.create_route_table(VpcId=main.vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=way_out, SubnetId=public)
    igw = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=main.vpc)
    ec2.create_route(RouteTableId=way_out, DestinationCidrBlock="0.0.0.0/0", GatewayId=igw)
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address["AllocationId"])["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=lone, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    narrow = ec2.create_security_group(GroupName="narrow", Description="n", VpcId=main.vpc)["GroupId"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=narrow, IpPermissions=[everything])
    secure = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_egress(GroupId=narrow, IpPermissions=[secure])
    stands = {
        "gateway": (OWNER, main.a, main.group),
        "https-only": (OWNER, main.a, narrow),
        "nat": (OWNER, main.b, main.group),
        "interface": (OWNER, side.a, side.group),
        "cut": (OWNER, public, main.group),
        "abroad": (PARTNER, other.b, other.group),
    }
    origins: dict[str, Origin] = {"internet": LOCAL}
    for name, (account, subnet, group) in stands.items():
        origins[name] = Placement(
            account=account,
            region=REGION,
            subnet_id=subnet,
            security_group_ids=(group,),
            private_ip={main.a: "10.1.1.77", main.b: "10.1.2.77", side.a: "10.2.1.77"}.get(subnet, "10.1.9.77"),
        )
    named = {"gateway": gateway, "interface": interface, "abroad": abroad, "nat": address["PublicIp"], "vpc": main.vpc}
    return origins, named, stands


def _inventory(
    folder: Path, *, stands: dict[str, tuple[str, str, str]], buckets: dict[str, str], roles: dict[str, str], point: str
) -> Inventory:
    accounts = {OWNER: "main", PARTNER: "partner"}
    text = {
        "accounts": {name: {"id": account, "region": REGION} for account, name in accounts.items()},
        "principals": {
            **{name: {"role": arn, "account": accounts[arn.split(":")[4]]} for name, arn in roles.items()},
            "ann": {"keys": {"access_key_id": "ANN_ID", "secret_access_key": "ANN_SECRET"}},
            "anonymous": {"anonymous": True},
        },
        "vantage_points": {
            **{
                name: {"lambda": {"account": accounts[account], "subnets": [subnet], "security_groups": [group]}}
                for name, (account, subnet, group) in stands.items()
            },
            "internet": "local",
        },
        "buckets": {
            label: {"name": name, "canary": KEY, **({"hosts": {"point": point}} if label == "b0" else {})}
            for label, name in buckets.items()
        },
    }
    (folder / "s3vpce.yaml").write_text(json.dumps(text), encoding="utf-8")
    return load_inventory(folder / "s3vpce.yaml")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    stage = Stage(OWNER, PARTNER)
    admins = {"main": stage.admin(OWNER), "partner": stage.admin(PARTNER)}
    origins, named, stands = _networks(stage)
    buckets = {f"b{number}": f"random-{number}-{OWNER}" for number in range(BUCKETS)}
    roles = {
        f"{kind}{number}": f"arn:aws:iam::{account}:role/{kind}{number}"
        for kind, account in (("app", OWNER), ("ext", PARTNER))
        for number in range(ROLES // 2)
    }
    arns = (*roles.values(), OWNER, PARTNER, f"arn:aws:iam::{OWNER}:user/ann")
    chooser = Chooser(
        SEED,
        values={
            "aws:SourceVpce": (named["gateway"], named["interface"], [named["abroad"], named["gateway"]]),
            "aws:SourceVpc": (named["vpc"],),
            "Null aws:SourceVpce": ("true",),
            "aws:SourceIp": (f"{named['nat']}/32", f"{LOCAL.address}/24", "10.0.0.0/8"),
            "aws:SecureTransport": ("true", "false"),
            "aws:PrincipalArn": tuple(roles.values()),
            "aws:PrincipalAccount": (OWNER, PARTNER),
            "aws:PrincipalTag/team": ("red", ["red", "blue"]),
            "s3:ExistingObjectTag/class": ("open", "closed"),
            "aws:PrincipalType": ("AssumedRole", "User"),
            "aws:username": ("ann",),
            "s3:x-amz-server-side-encryption": ("AES256", "aws:kms"),
            "s3:authType": ("REST-HEADER", "REST-QUERY-STRING"),
            "s3:TlsVersion": ("1.2", "1.3"),
            "aws:ResourceAccount": (OWNER,),
        },
        arns=arns,
    )
    keys = _people(stage, admins, chooser, roles, tuple(buckets.values()))
    _fill(admins["main"], chooser, buckets)
    _endpoints(admins, chooser, named, tuple(buckets.values()))
    point = _point(admins["main"], chooser, buckets["b0"])
    inventory = _inventory(tmp_path_factory.mktemp("random"), stands=stands, buckets=buckets, roles=roles, point=point)
    sessions: Any = Sessions(admins, {"ann": keys})
    world = World(inventory, References(None), sessions, run_id="random")
    environment = Environment(mode="lab", address=LOCAL.address)
    sts = {OWNER: admins["main"].client("sts"), PARTNER: admins["partner"].client("sts")}
    people: dict[str, Person | None] = {"ann": keys, "anonymous": None}
    for name, arn in roles.items():
        made = sts[arn.split(":")[4]].assume_role(RoleArn=arn, RoleSessionName="s3vpce-random")["Credentials"]
        people[name] = Person(stage, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    return Scene(stage, inventory, world, take(world, environment), origins, people, sts)


def _people(
    stage: Stage, admins: dict[str, Person], chooser: Chooser, roles: dict[str, str], buckets: tuple[str, ...]
) -> Person:
    trust = policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["sts:AssumeRole", "sts:TagSession"]})
    for name, arn in roles.items():
        iam = admins["main" if OWNER in arn else "partner"].client("iam")
        tags = [{"Key": "team", "Value": chooser.random.choice(("red", "blue"))}]
        more: dict[str, Any] = {}
        if chooser.random.random() < 0.2:
            text = chooser.text("random-*", allows=0.7, principals=False, wide=0.5)
            made = iam.create_policy(PolicyName=f"boundary-{name}", PolicyDocument=text)["Policy"]
            more["PermissionsBoundary"] = made["Arn"]
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=tags, **more)
        text = chooser.text("random-*", allows=0.7, principals=False, wide=0.6)
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=text)
        if chooser.random.random() < 0.3:
            text = chooser.text("random-*", allows=0.5, principals=False, wide=0)
            made = iam.create_policy(PolicyName=f"extra-{name}", PolicyDocument=text)["Policy"]
            iam.attach_role_policy(RoleName=name, PolicyArn=made["Arn"])
    iam = admins["main"].client("iam")
    iam.create_user(UserName="ann")
    iam.create_group(GroupName="team")
    iam.add_user_to_group(GroupName="team", UserName="ann")
    for call, whose in ((iam.put_user_policy, {"UserName": "ann"}), (iam.put_group_policy, {"GroupName": "team"})):
        text = chooser.text("random-*", allows=0.7, principals=False, wide=0.5)
        call(**whose, PolicyName="inline", PolicyDocument=text)
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    return Person(stage, key["AccessKeyId"], key["SecretAccessKey"])


def _fill(admin: Person, chooser: Chooser, buckets: dict[str, str]) -> None:
    s3, kms = admin.client("s3"), admin.client("kms")
    for number, name in enumerate(buckets.values()):
        ownership = chooser.random.choice(("BucketOwnerEnforced", "BucketOwnerEnforced", "ObjectWriter"))
        s3.create_bucket(Bucket=name, ObjectOwnership=ownership)
        s3.delete_public_access_block(Bucket=name)
        if number % 4 == 1:
            text = policy(
                {"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "kms:*", "Resource": "*"},
                {
                    **chooser.statement(name, allows=0.5, principals=True),
                    "Action": chooser.random.choice(("kms:Decrypt", "kms:*")),
                    "Resource": "*",
                },
            )
            key = kms.create_key(Policy=text)["KeyMetadata"]["Arn"]
            rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
            s3.put_bucket_encryption(
                Bucket=name,
                ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
            )
        acl = {"ACL": "public-read"} if ownership == "ObjectWriter" and chooser.random.random() < 0.5 else {}
        s3.put_object(
            Bucket=name, Key=KEY, Body=b"canary", Tagging=f"class={chooser.random.choice(('open', 'x'))}", **acl
        )
        if chooser.random.random() < 0.9:
            s3.put_bucket_policy(Bucket=name, Policy=chooser.text(name, allows=0.4, principals=True, wide=0.2))
        if chooser.random.random() < 0.4:
            s3.put_public_access_block(
                Bucket=name,
                PublicAccessBlockConfiguration={
                    "RestrictPublicBuckets": chooser.random.random() < 0.7,
                    "IgnorePublicAcls": chooser.random.random() < 0.5,
                },
            )


def _endpoints(admins: dict[str, Person], chooser: Chooser, named: dict[str, str], buckets: tuple[str, ...]) -> None:
    for name, account in (("gateway", "main"), ("interface", "main"), ("abroad", "partner")):
        text = chooser.text("random-*", allows=0.6, principals=True, wide=0.8)
        admins[account].client("ec2").modify_vpc_endpoint(VpcEndpointId=named[name], PolicyDocument=text)
    assert buckets


def _point(admin: Person, chooser: Chooser, bucket: str) -> str:
    control = admin.client("s3control")
    arn: str = control.create_access_point(AccountId=OWNER, Name="way", Bucket=bucket)["AccessPointArn"]
    text = policy(
        {
            "Effect": "Allow",
            "Principal": {"AWS": OWNER},
            "Action": "s3:GetObject",
            "Resource": f"{arn}/object/*",
            "Condition": chooser.conditions(),
        }
    )
    control.put_access_point_policy(AccountId=OWNER, Name="way", Policy=text)
    return arn


# --- one cell, predicted and asked -----------------------------------------------------------------------------------


def _cell(chooser: random.Random, scene: Scene) -> Cell:
    name = chooser.choice(OPERATIONS)
    row = operation(name)
    principal = chooser.choice(tuple(scene.people))
    bucket = chooser.choice(tuple(scene.inventory.buckets))
    target = Target(bucket=bucket)
    plain = principal in ("ann", "anonymous")
    if bucket == "b0" and name == "GetObject" and principal != "anonymous" and chooser.random() < 0.7:
        target = Target(bucket=bucket, name="point", host=scene.inventory.buckets["b0"].hosts["point"])
    return Cell(
        operation=name,
        action=row.default_of or row.actions[0],
        target=target,
        principal=principal,
        vantage=chooser.choice(tuple(scene.origins)),
        transport=Transport.HTTP if not plain and not target.name and chooser.random() < 0.2 else Transport.HTTPS,
        variant="sse" if name == "PutObject" and chooser.random() < 0.5 else "",
        parameters=ENCRYPTED if name == "PutObject" and chooser.random() < 0.5 else {},
    )


def _request(cell: Cell, scene: Scene, builder: ProbeBuilder) -> SignedRequest:
    facts = scene.world.bucket(cell.target.bucket)
    destination = Destination(
        bucket=facts.name,
        owner=facts.account_id,
        region=REGION,
        key=KEY,
        host=Host.of(cell.target.host) if cell.target.host else Host(),
        canary_body=b"canary",
        absent_key=f"{KEY}.absent",
    )
    person = scene.people[cell.principal]
    if person is not None and cell.transport is Transport.HTTP:
        cases = Cases(scene.snapshot, session_name="s3vpce-random", builder=builder)
        case = cases.case(cell, request=None, policy="")
        assert not isinstance(case, str)
        role = scene.inventory.principals[cell.principal].role
        assert role is not None
        sts = scene.sts[role.split(":")[4]]
        made = sts.assume_role(RoleArn=role, RoleSessionName="s3vpce-random", Policy=case.session)["Credentials"]
        person = Person(scene.stage, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    keys = None
    if person is not None:
        keys = Credentials(access_key_id=person.key, secret_access_key=person.secret, session_token=person.token)
    return builder.build(Probe(cell=cell), request_id="0", destination=destination, credentials=keys)


def _ask(cell: Cell, scene: Scene, request: SignedRequest) -> OutcomeKind:
    origin = scene.origins[cell.vantage]
    if isinstance(origin, Placement):
        origin = origin.at(80 if cell.transport is Transport.HTTP else 443, destination=ANY)
    tls = "TLSv1.2" if cell.vantage == "interface" else "TLSv1.3"
    parts = urlsplit(request.url)
    try:
        answer = scene.stage.gateway.handle(
            HttpRequest(
                method=request.method,
                target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
                headers=(("Host", parts.netloc), *request.headers),
                body=request.body,
                host=parts.netloc,
                scheme="http" if cell.transport is Transport.HTTP else "https",
                tls=tls if cell.transport is not Transport.HTTP else None,
                origin=origin,
                peer="127.0.0.1:1",
            )
        )
    except Unanswered:
        return OutcomeKind.UNREACHABLE
    found = Answer(
        id="0",
        status=answer.status,
        headers={name.lower(): value for name, value in answer.headers},
        body=answer.body,
    )
    return classify(found, operation=cell.operation).kind


def test_what_is_predicted_is_what_is_measured(scene: Scene) -> None:
    assert unread(scene.snapshot) == []
    chooser = random.Random(SEED)
    builder = ProbeBuilder(user_agent="t")
    predictor = Predictor(scene.snapshot, session_name="s3vpce-random", builder=builder)
    seen: Counter[tuple[Expected, OutcomeKind]] = Counter()
    for _ in range(SETS):
        cell = _cell(chooser, scene)
        request = _request(cell, scene, builder)
        found = predictor.predict(cell, request=request)
        measured = _ask(cell, scene, request)
        # What S3 answers with neither a denial nor its opposite is not to be predicted either.
        assert (found.expected.outcome or OutcomeKind.INCONCLUSIVE) is measured, told(found, measured, scene)
        seen[found.expected, measured] += 1
    assert {expected for expected, _ in seen} >= set(Expected) - {Expected.UNKNOWN}, seen
    assert sum(count for (expected, _), count in seen.items() if expected is Expected.UNKNOWN) <= SETS / 20, seen


def told(found: Prediction, measured: OutcomeKind, scene: Scene) -> str:
    lines = [found.cell.id, f"predicted {found.expected}: {found.why}", f"measured {measured}"]
    lines += [json.dumps(note, default=str) for note in scene.stage.notes[-1:]]
    if found.decision is not None:
        lines.append(str(found.decision.explain()))
    return "\n".join(lines)


def test_a_snapshot_is_read_back_as_it_was_written(scene: Scene) -> None:
    text = scene.snapshot.to_json()
    again = Snapshot.from_json(text)
    assert again.to_json() == text
    assert "secret" not in text.lower()
    assert [row.label for row in again.buckets] == list(scene.inventory.buckets)
