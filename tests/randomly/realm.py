"""An organization in the lab without sockets: four accounts, their networks, keys, people and buckets.

The management's, two members in units, and a stranger's outside of it. `throws` throws all policies anew.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.fleet import instances
from pytest_s3vpce.lab.origin import Internet, Placement
from tests.randomly.policysets import Named, Writer, document
from tests.unit import labnetwork
from tests.unit.labstage import REGION, Person, Stage

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_s3vpce.lab.origin import Origin

MANAGER, OWNER, PARTNER, STRANGER = (f"73000000000{number}" for number in range(1, 5))
ACCOUNTS: Final = {OWNER: "main", PARTNER: "partner", STRANGER: "stranger", MANAGER: "manager"}
KEY: Final = "canary"
LOCAL: Final = Internet()
ROLES: Final = {
    "app0": OWNER,
    "app1": OWNER,
    "app2": OWNER,
    "app3": OWNER,
    "ext0": PARTNER,
    "ext1": PARTNER,
    "odd": STRANGER,
    "boss": MANAGER,
}
BUCKETS: Final = {"b0": OWNER, "b1": OWNER, "b2": OWNER, "b3": OWNER, "b4": OWNER, "b5": PARTNER, "b6": MANAGER}
WITH_LISTS: Final = ("b3", "b4", "b5")
"""Those whose ACLs count."""
POINTED: Final = {"b0": OWNER, "b1": OWNER, "b2": PARTNER}
"""Buckets with an access point, and whose that is."""
BOUND: Final = "b1"
"""The bucket whose access point takes only what comes from a VPC."""
LOCKED: Final = "b2"
OWN: Final = {"instance": "app3", "function": "app0"}
"""Places with credentials of their own, in the owner's account, and whose role those are."""
BOUNDED: Final = ("app0", "app1", "ext0")
TYPES: Final = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")
WATCHER: Final = "s3vpce-runner-watches"


def bucket_name(label: str) -> str:
    return f"random-{label[1:]}-{BUCKETS[label]}"


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ROLES[name]}:role/{name}"


@dataclass
class Realm:
    """What stays the same: accounts, networks, buckets and roles by their names."""

    admins: dict[str, Any]
    origins: dict[str, Origin]
    stands: dict[str, tuple[str, str, str]]
    named: Named
    writer: Writer
    endpoints: dict[str, tuple[str, str]]
    """By a word: the account's name and the endpoint's id."""
    interface_host: str
    points: dict[str, str]
    keys: dict[str, tuple[str, str]]
    """KMS keys by a word: the account's name and the key's ARN."""
    targets: dict[str, dict[str, str]] = field(default_factory=dict)
    """By the policies' type: the policies' ids by the target that they are attached to."""
    stage: Any = None
    folder: Any = None
    ann: Any = None
    clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Vantage points of the inventory's that are there already, and have credentials of their own."""
    number: int = 0

    def client(self, service: str, account: str) -> Any:
        """A client takes longer to make than most that it is asked."""
        if (service, account) not in self.clients:
            self.clients[service, account] = self.admins[account].client(service)
        return self.clients[service, account]


def make(folder: Path, dice: random.Random) -> Realm:
    """In the lab without sockets, with an organization."""
    stage = Stage(*ACCOUNTS)
    admins = {name: stage.admin(account) for account, name in ACCOUNTS.items()}
    organization, units, targets = _organization(stage, admins["manager"])
    path = f"{organization}/" + "".join(f"{unit}/" for unit in units)
    made = furnish(dice, admins, organization=organization, path=path)
    key = admins["main"].client("iam").create_access_key(UserName="ann")["AccessKey"]
    ann = Person(stage, key["AccessKeyId"], key["SecretAccessKey"])
    made = replace(made, folder=folder, targets=targets, stage=stage, ann=ann)
    return _with_places(made, stage, dice)


def _with_places(realm: Realm, stage: Stage, dice: random.Random) -> Realm:
    """And an instance and a function that are there, in subnets with IPv6 beside the gateway endpoint's way."""
    net = labnetwork.make(realm.admins["main"], OWNER, "10.5", AmazonProvidedIpv6CidrBlock=True)
    six = net.ec2.describe_vpcs(VpcIds=[net.vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    block = six.replace("/56", "/64")
    net.ec2.associate_subnet_cidr_block(SubnetId=net.a, Ipv6CidrBlock=block)
    net.ec2.modify_subnet_attribute(SubnetId=net.a, AssignIpv6AddressOnCreation={"Value": True})
    gateway = net.gateway()["VpcEndpointId"]
    igw = net.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    net.ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=net.vpc)
    net.ec2.create_route(RouteTableId=net.table, DestinationIpv6CidrBlock="::/0", GatewayId=igw)
    machine = _machine(realm, net)
    found = next(row for row in instances(stage.state, OWNER, REGION) if row.id == machine)
    function = _function(realm, net)
    placed = Placement(
        account=OWNER, region=REGION, subnet_id=net.b, security_group_ids=(net.group,), private_ip="10.5.2.77"
    )
    arn = f"arn:aws:ec2:{REGION}:{OWNER}:instance/{machine}"
    named = replace(
        realm.named,
        endpoints=(*realm.named.endpoints, gateway),
        vpcs=(net.vpc, *realm.named.vpcs),
        machines=(arn, found.private_ip),
        functions=(function,),
        nets=(f"{found.ipv6}/128", block, "2001:db8::/32"),
    )
    return replace(
        realm,
        named=named,
        writer=Writer(dice, named),
        endpoints={**realm.endpoints, "places": ("main", gateway)},
        origins={**realm.origins, "instance": found.placement, "function": placed},
        places={"instance": {"ec2": {"instance": machine}}, "function": {"lambda": {"function": function}}},
    )


def _machine(realm: Realm, net: labnetwork.Net) -> str:
    iam = realm.client("iam", "main")
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName=OWN["instance"])
    made = net.ec2.run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        SubnetId=net.a,
        SecurityGroupIds=[net.group],
        IamInstanceProfile={"Name": "machine"},
    )
    return str(made["Instances"][0]["InstanceId"])


def _function(realm: Realm, net: labnetwork.Net) -> str:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("f.py", "def f(event, context): return event")
    made = realm.client("lambda", "main").create_function(
        FunctionName="reports",
        Runtime="python3.12",
        Role=role_arn(OWN["function"]),
        Handler="f.f",
        Code={"ZipFile": code.getvalue()},
        VpcConfig={"SubnetIds": [net.b], "SecurityGroupIds": [net.group]},
    )
    return str(made["FunctionArn"])


def furnish(dice: random.Random, admins: Mapping[str, Any], *, organization: str, path: str) -> Realm:
    """Networks, keys, people and buckets; `admins` are sessions by the accounts' names."""
    origins, stands, endpoints, vpcs, address, host = _networks(admins)
    keys = _keys(admins)
    points = {label: f"arn:aws:s3:{REGION}:{account}:accesspoint/way-{label}" for label, account in POINTED.items()}
    named = Named(
        endpoints=tuple(found for _, found in endpoints.values()),
        vpcs=vpcs,
        addresses=(f"{address}/32", f"{LOCAL.address}/32"),
        accounts=(OWNER, PARTNER, STRANGER, MANAGER),
        organization=organization,
        path=path,
        people=(*(role_arn(name) for name in ROLES), f"arn:aws:iam::{OWNER}:user/ann"),
        keys=tuple(arn for _, arn in keys.values()),
        points=tuple(points.values()),
        region=REGION,
    )
    _people(admins)
    realm = Realm(
        admins=dict(admins),
        origins=origins,
        stands=stands,
        named=named,
        writer=Writer(dice, named),
        endpoints=endpoints,
        interface_host=host,
        points=points,
        keys=keys,
    )
    _buckets(realm, vpcs[0])
    return realm


def _organization(stage: Stage, manager: Person) -> tuple[str, tuple[str, ...], dict[str, dict[str, str]]]:
    """Its id, the root and units above the owner, and policies for each level, which say nothing yet."""
    client = manager.client("organizations")
    found = client.create_organization(FeatureSet="ALL")["Organization"]["Id"]
    root = client.list_roots()["Roots"][0]["Id"]
    for kind in TYPES:
        client.enable_policy_type(RootId=root, PolicyType=kind)
    outer = client.create_organizational_unit(ParentId=root, Name="outer")["OrganizationalUnit"]["Id"]
    inner = client.create_organizational_unit(ParentId=outer, Name="inner")["OrganizationalUnit"]["Id"]
    for account, unit in ((OWNER, inner), (PARTNER, outer)):
        stage.state.enroll(account, management_account=MANAGER, name=ACCOUNTS[account], parent=unit)
    nothing = document([{"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::nobodys"}])
    rcp = document([{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::nobodys"}])
    targets: dict[str, dict[str, str]] = {}
    for kind, text in zip(TYPES, (nothing, rcp), strict=True):
        for target in (root, outer, inner, OWNER, PARTNER):
            made = client.create_policy(Content=text, Description="", Name=f"{kind[0]}{target}", Type=kind)
            targets.setdefault(kind, {})[target] = made["Policy"]["PolicySummary"]["Id"]
            client.attach_policy(PolicyId=targets[kind][target], TargetId=target)
    return found, (root, outer, inner), targets


def _networks(admins: Mapping[str, Any]) -> Any:
    """Places of every kind: by gateway and interface endpoints, a NAT, cut off, closed to http, in other accounts."""
    main = labnetwork.make(admins["main"], OWNER, "10.1")
    side = labnetwork.make(admins["main"], OWNER, "10.2")
    other = labnetwork.make(admins["partner"], PARTNER, "10.3")
    far = labnetwork.make(admins["stranger"], STRANGER, "10.4")
    for port in (80, 443):
        side.let_in("10.2.0.0/16", port)
    ec2 = main.ec2
    gateway = main.gateway()["VpcEndpointId"]
    lone = _table(ec2, main.vpc, main.b)
    public, address = _public(ec2, main.vpc, lone)
    narrow = _narrow(ec2, main.vpc)
    interface = side.interface(PrivateDnsEnabled=True)
    stands = {
        "gateway": (OWNER, main.a, main.group),
        "https-only": (OWNER, main.a, narrow),
        "nat": (OWNER, main.b, main.group),
        "interface": (OWNER, side.a, side.group),
        "cut": (OWNER, public, main.group),
        "abroad": (PARTNER, other.a, other.group),
        "far": (STRANGER, far.a, far.group),
    }
    origins: dict[str, Origin] = {"internet": LOCAL}
    addresses = {main.a: "10.1.1.77", main.b: "10.1.2.77", side.a: "10.2.1.77", public: "10.1.9.77"}
    addresses |= {other.a: "10.3.1.77", far.a: "10.4.1.77"}
    for name, (account, subnet, group) in stands.items():
        origins[name] = Placement(
            account=account,
            region=REGION,
            subnet_id=subnet,
            security_group_ids=(group,),
            private_ip=addresses[subnet],
        )
    endpoints = {
        "gateway": ("main", gateway),
        "interface": ("main", interface["VpcEndpointId"]),
        "abroad": ("partner", other.gateway()["VpcEndpointId"]),
        "far": ("stranger", far.gateway()["VpcEndpointId"]),
    }
    host = labnetwork.base(interface)
    return origins, stands, endpoints, (main.vpc, side.vpc, other.vpc, far.vpc), address, host


def _public(ec2: Any, vpc: str, table: str) -> tuple[str, str]:
    """A subnet with a way to the internet, and the address by which a NAT gateway there takes the table's others."""
    public: str = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.9.0/24")["Subnet"]["SubnetId"]
    way_out = _table(ec2, vpc, public)
    igw = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    ec2.create_route(RouteTableId=way_out, DestinationCidrBlock="0.0.0.0/0", GatewayId=igw)
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address["AllocationId"])["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    return public, address["PublicIp"]


def _narrow(ec2: Any, vpc: str) -> str:
    """A security group that lets nothing but https out."""
    narrow: str = ec2.create_security_group(GroupName="narrow", Description="n", VpcId=vpc)["GroupId"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(GroupId=narrow, IpPermissions=[everything])
    secure = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_egress(GroupId=narrow, IpPermissions=[secure])
    return narrow


def _table(ec2: Any, vpc: str, subnet: str) -> str:
    table: str = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    return table


def _keys(admins: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    found = {}
    for word, account in (("own", "main"), ("second", "main"), ("theirs", "partner")):
        kms = admins[account].client("kms")
        found[word] = (account, kms.create_key()["KeyMetadata"]["Arn"])
        if word == "own":
            kms.create_alias(AliasName="alias/own", TargetKeyId=found[word][1])
    return found


def _people(admins: Mapping[str, Any]) -> None:
    """Roles, boundaries that allow nothing yet, a user in a group, and who reads the canaries whatever is thrown."""
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:*"}
    trust = document([everybody | {"Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}])
    for name, account in ROLES.items():
        iam = admins[ACCOUNTS[account]].client("iam")
        more = {}
        if name in BOUNDED:
            more["PermissionsBoundary"] = f"arn:aws:iam::{account}:policy/limit-{name}"
            text = document([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}])
            iam.create_policy(PolicyName=f"limit-{name}", PolicyDocument=text)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **more)
    iam = admins["main"].client("iam")
    iam.create_user(UserName="ann")
    iam.create_group(GroupName="team")
    iam.add_user_to_group(GroupName="team", UserName="ann")
    may = document([{"Effect": "Allow", "Action": ["s3:GetObject*", "kms:Decrypt"], "Resource": "*"}])
    for account in ("main", "partner", "manager"):
        iam = admins[account].client("iam")
        iam.create_role(RoleName=WATCHER, AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName=WATCHER, PolicyName="inline", PolicyDocument=may)


def _buckets(realm: Realm, vpc: str) -> None:
    for label, account in BUCKETS.items():
        s3, name = realm.client("s3", ACCOUNTS[account]), bucket_name(label)
        s3.create_bucket(
            Bucket=name,
            ObjectOwnership="ObjectWriter" if label in WITH_LISTS else "BucketOwnerEnforced",
            ObjectLockEnabledForBucket=label == LOCKED,
        )
        s3.delete_public_access_block(Bucket=name)
    for label, arn in realm.points.items():
        account = POINTED[label]
        more: dict[str, Any] = {"VpcConfiguration": {"VpcId": vpc}} if label == BOUND else {}
        if account != BUCKETS[label]:
            more["BucketAccountId"] = BUCKETS[label]
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        block = dict.fromkeys(names, False) | {"RestrictPublicBuckets": label == BOUND}
        realm.client("s3control", ACCOUNTS[account]).create_access_point(
            AccountId=account,
            Name=arn.rpartition("/")[2],
            Bucket=bucket_name(label),
            PublicAccessBlockConfiguration=block,
            **more,
        )
