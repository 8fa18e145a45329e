"""What the lab's flow logs say of connections from inside of its networks, and of those that are dropped."""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from pytest_s3vpce.evidence.flows import Sought
from pytest_s3vpce.evidence.sources import Source
from pytest_s3vpce.lab.attempts import Attempt
from pytest_s3vpce.lab.flowrecords import Flow, Place
from pytest_s3vpce.lab.traildelivery import Delivery, FlowLog
from pytest_s3vpce.lab.wire import Unanswered
from tests.unit.labnetwork import make
from tests.unit.labstage import REGION, Stage, allow, policy, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.labnetwork import Net

MAIN = "771200000001"
GROUP, HOST = "/lab/flows", f"flow-data.s3.{REGION}.amazonaws.com"
ROLE = f"arn:aws:iam::{MAIN}:role/flows"
NAMES = (
    *("version", "account", "interface", "srcaddr", "dstaddr", "srcport", "dstport"),
    *("protocol", "packets", "bytes", "start", "end", "action", "status"),
)


@dataclass
class World:
    stage: Stage
    net: Net

    @property
    def ec2(self) -> Any:
        return self.net.ec2

    @property
    def logs(self) -> Any:
        return self.stage.root(MAIN).client("logs")

    @property
    def s3(self) -> Any:
        return self.stage.root(MAIN).client("s3")

    def create(self, *ids: str, kind: str = "VPC", traffic: str = "ALL", **more: Any) -> Any:
        to = {} if "LogDestination" in more else {"LogGroupName": GROUP}
        role = {} if more.get("LogDestinationType") == "s3" else {"DeliverLogsPermissionArn": ROLE}
        return self.ec2.create_flow_logs(ResourceIds=ids, ResourceType=kind, TrafficType=traffic, **to, **role, **more)

    def read(self, subnet: str = "", **placed: Any) -> None:
        client = self.stage.root(MAIN).client(
            "s3", origin=self.net.at(subnet or self.net.a, **placed), url=f"https://s3.{REGION}.amazonaws.com"
        )
        client.get_object(Bucket="flow-data", Key="k")

    def lose(self, *, seconds: float = 3.0, host: str = HOST, port: int = 443) -> None:
        attempt = Attempt(host=host, port=port, near_port=40_001, seconds=seconds)
        self.stage.gateway.attempted(self.net.at(self.net.a), attempt)

    def lines(self, group: str = GROUP) -> list[str]:
        return [row["message"] for row in self.logs.filter_log_events(logGroupName=group)["events"]]


def waited(look: Callable[[], list[Any]], *, count: int) -> list[Any]:
    deadline = time.monotonic() + 5
    while len(found := look()) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def row(line: str) -> dict[str, str]:
    return dict(zip(NAMES, line.split(), strict=True))


@pytest.fixture(scope="module")
def world() -> World:
    stage = Stage(MAIN)
    root = stage.root(MAIN)
    net = make(root, MAIN, "10.78")
    net.gateway()
    root.client("s3").create_bucket(Bucket="flow-data")
    root.client("s3").put_object(Bucket="flow-data", Key="k", Body=b"body")
    return World(stage, net)


@pytest.fixture(autouse=True)
def _anew(world: World) -> Iterator[None]:
    world.logs.create_log_group(logGroupName=GROUP)
    yield
    found = [log["FlowLogId"] for log in world.ec2.describe_flow_logs()["FlowLogs"]]
    if found:
        world.ec2.delete_flow_logs(FlowLogIds=found)
    world.logs.delete_log_group(logGroupName=GROUP)


def test_a_connection_is_two_records_in_the_default_format(world: World) -> None:
    made = world.create(world.net.vpc)
    world.read()
    out, back = (row(line) for line in waited(world.lines, count=2))
    assert made["Unsuccessful"] == []
    assert (out["srcaddr"], out["dstport"], out["protocol"]) == ("10.78.1.77", "443", "6")
    assert out["dstaddr"].startswith(("52.", "54.", "3."))
    assert (back["srcaddr"], back["dstaddr"]) == (out["dstaddr"], out["srcaddr"])
    assert (back["srcport"], back["dstport"]) == (out["dstport"], out["srcport"])
    assert {(line["version"], line["account"], line["action"], line["status"]) for line in (out, back)} == {
        ("2", MAIN, "ACCEPT", "OK")
    }
    assert out["interface"] == back["interface"]
    assert all(int(out[name]) > 0 for name in ("packets", "bytes", "start"))
    (stream,) = world.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert stream["logStreamName"] == f"{out['interface']}-all"


def test_what_one_connection_carries_within_a_moment_is_one_record(world: World) -> None:
    now = float(int(time.time()))
    place = Place(account=MAIN, region=REGION, zone="", vpc="vpc-1", subnet="s", interface="eni-1")
    flow = Flow(
        place=place,
        is_out=True,
        near=("10.78.1.77", 40_000),
        far=("52.216.0.1", 443),
        action="ACCEPT",
        start=now,
        end=now,
        packets=4,
        bytes=200,
    )
    fields = ("srcport", "action", "packets", "bytes", "start", "end")
    log = FlowLog(
        id="fl-1", account=MAIN, region=REGION, traffic="ALL", fields=fields, bucket=None, prefix="", log_group=GROUP
    )
    nobody: Any = None  # it writes no file
    delivery = Delivery(world.stage.state, writers=nobody, delay=0.1)
    delivery.flow(log, flow)
    delivery.flow(log, replace(flow, start=now - 1, packets=3, bytes=100))
    delivery.flow(log, replace(flow, near=("10.78.1.77", 40_001), start=now - 2))  # earlier, and told later
    delivery.flow(replace(log, id="fl-2", log_group="/gone"), flow)
    assert sorted(waited(world.lines, count=2)) == [
        f"40000 ACCEPT 7 300 {now - 1:.0f} {now:.0f}",
        f"40001 ACCEPT 4 200 {now - 2:.0f} {now:.0f}",
    ]


def test_only_what_a_log_watches_is_in_it(world: World) -> None:
    world.create(world.net.b, kind="Subnet")
    world.read(world.net.a)
    world.read(world.net.b)
    found = [row(line) for line in waited(world.lines, count=2)]
    assert {line["srcaddr"] for line in found if line["dstport"] == "443"} == {"10.78.2.77"}


def test_an_interface_has_a_log_of_its_own(world: World) -> None:
    made = world.ec2.create_network_interface(SubnetId=world.net.a, PrivateIpAddress="10.78.1.90")
    interface = made["NetworkInterface"]["NetworkInterfaceId"]
    world.create(interface, kind="NetworkInterface")
    world.read()
    world.read(address="10.78.1.90")
    assert {row(line)["interface"] for line in waited(world.lines, count=2)} == {interface}


def test_a_custom_format_has_its_fields_in_their_order(world: World) -> None:
    names = [
        "version",
        "vpc-id",
        "subnet-id",
        "instance-id",
        "tcp-flags",
        "type",
        "pkt-srcaddr",
        "pkt-dstaddr",
        "region",
        "az-id",
    ]
    names += ["sublocation-type", "sublocation-id", "pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction"]
    names += ["traffic-path"]
    world.create(world.net.vpc, LogFormat=" ".join(f"${{{name}}}" for name in names))
    world.read()
    out, back = (dict(zip(names, line.split(), strict=True)) for line in waited(world.lines, count=2))
    assert out["version"] == "5"
    assert (out["vpc-id"], out["subnet-id"], out["instance-id"]) == (world.net.vpc, world.net.a, "-")
    assert (out["flow-direction"], out["traffic-path"], out["pkt-dst-aws-service"]) == ("egress", "7", "S3")
    assert (back["flow-direction"], back["traffic-path"], back["pkt-src-aws-service"]) == ("ingress", "-", "S3")
    assert (out["pkt-src-aws-service"], back["pkt-dst-aws-service"]) == ("-", "-")
    assert (out["region"], out["az-id"][:5]) == (REGION, "use1-")  # the zone's id, not its name
    assert (out["tcp-flags"], back["tcp-flags"], out["type"]) == ("3", "19", "IPv4")
    status, code, message = refusal(
        world.ec2.create_flow_logs,
        ResourceIds=[world.net.vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogGroupName=GROUP,
        DeliverLogsPermissionArn=ROLE,
        LogFormat="${version} ${no-such}",
    )
    assert (status, code) == (400, "InvalidParameter")
    assert "no-such" in message


def test_an_interface_endpoint_is_reached_at_its_own_address(world: World) -> None:
    endpoint = world.net.interface(PrivateDnsEnabled=False)
    world.net.let_in("10.78.0.0/16")
    names = "dstaddr traffic-path pkt-dst-aws-service flow-direction"
    world.create(world.net.vpc, LogFormat=" ".join(f"${{{name}}}" for name in names.split()))
    try:
        url = "https://" + endpoint["DnsEntries"][0]["DnsName"].replace("*", "bucket")
        client = world.stage.root(MAIN).client("s3", origin=world.net.at(world.net.a), url=url)
        client.get_object(Bucket="flow-data", Key="k")
        out, _ = (line.split() for line in waited(world.lines, count=2))
    finally:
        world.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
    assert out[0].startswith("10.78.")
    assert out[1:] == ["1", "-", "egress"]


def test_what_a_security_group_does_not_let_out_is_rejected(world: World) -> None:
    world.create(world.net.vpc)
    rule = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    world.ec2.revoke_security_group_egress(GroupId=world.net.group, IpPermissions=[rule])
    try:
        world.lose()
        with pytest.raises(Unanswered):
            world.read()
        found = [row(line) for line in waited(world.lines, count=2)]
    finally:
        world.ec2.authorize_security_group_egress(GroupId=world.net.group, IpPermissions=[rule])
    assert {(line["srcaddr"], line["dstport"], line["action"]) for line in found} == {("10.78.1.77", "443", "REJECT")}
    (lost,) = [line for line in found if line["srcport"] == "40001"]
    assert (lost["packets"], lost["bytes"]) == ("3", "180")  # at once, after one second, and after three
    assert int(lost["end"]) - int(lost["start"]) in (3, 4)


def closed(world: World, *, egress: bool, ports: tuple[int, int]) -> dict[str, Any]:
    """A network ACL's entry that denies."""
    found = world.ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [world.net.vpc]}])
    entry = {"NetworkAclId": found["NetworkAcls"][0]["NetworkAclId"], "RuleNumber": 1, "Egress": egress}
    world.ec2.create_network_acl_entry(
        **entry,
        Protocol="6",
        RuleAction="deny",
        CidrBlock="0.0.0.0/0",
        PortRange={"From": ports[0], "To": ports[1]},
    )
    return entry


@pytest.mark.parametrize(
    ("egress", "ports", "expected"),
    [
        (True, (443, 443), [("10.78.1.77", "REJECT")]),
        (False, (1024, 65535), [("10.78.1.77", "ACCEPT"), ("52.", "REJECT")]),
    ],
)
def test_an_acl_rejects_what_it_denies_be_it_the_answer(
    world: World, egress: bool, ports: tuple[int, int], expected: list[tuple[str, str]]
) -> None:
    world.create(world.net.vpc)
    entry = closed(world, egress=egress, ports=ports)
    try:
        world.lose()
        found = [row(line) for line in waited(world.lines, count=len(expected))]
    finally:
        world.ec2.delete_network_acl_entry(**entry)
    assert [line["action"] for line in found] == [action for _, action in expected]
    assert all(line["srcaddr"].startswith(start) for line, (start, _) in zip(found, expected, strict=True))


def test_what_finds_no_way_is_let_out_and_gets_no_answer(world: World) -> None:
    world.create(world.net.vpc)
    world.lose(host=f"sts.{REGION}.amazonaws.com")  # there is no route to the internet
    world.lose(host="example.com")
    world.lose(host=HOST)  # which is let through by now
    world.read(world.net.b)
    found = [row(line) for line in waited(world.lines, count=3)]
    assert [line["action"] for line in found if line["srcport"] == "40001"] == ["ACCEPT"]
    assert [line["srcaddr"] for line in found if line["srcport"] == "40001"] == ["10.78.1.77"]


@pytest.mark.parametrize("traffic", ["ACCEPT", "REJECT"])
def test_a_log_takes_the_traffic_that_it_is_for(world: World, traffic: str) -> None:
    world.create(world.net.vpc, traffic=traffic)
    entry = closed(world, egress=False, ports=(1024, 65535))
    try:
        world.lose()
        (found,) = waited(world.lines, count=1)
    finally:
        world.ec2.delete_network_acl_entry(**entry)
    assert row(found)["action"] == traffic


@pytest.mark.parametrize("folder", ["", "/net/"])
def test_a_bucket_gets_files_where_its_policy_lets_the_service_write(world: World, folder: str) -> None:
    name = f"flow-files{folder.strip('/')}"
    world.s3.create_bucket(Bucket=name)
    service = {"Service": "delivery.logs.amazonaws.com"}
    condition = {
        "StringEquals": {"aws:SourceAccount": MAIN, "s3:x-amz-acl": "bucket-owner-full-control"},
        "ArnLike": {"aws:SourceArn": f"arn:aws:logs:{REGION}:{MAIN}:*"},
    }
    statement = allow("s3:PutObject", f"arn:aws:s3:::{name}/*", Principal=service, Condition=condition)
    world.s3.put_bucket_policy(Bucket=name, Policy=policy(statement))
    where = f"arn:aws:s3:::{name}{folder}"
    (log,) = world.create(world.net.vpc, LogDestinationType="s3", LogDestination=where)["FlowLogIds"]
    (described,) = world.ec2.describe_flow_logs(FlowLogIds=[log])["FlowLogs"]
    assert described["LogDestination"] == where
    world.read()
    (file,) = waited(lambda: world.s3.list_objects_v2(Bucket=name).get("Contents", []), count=1)
    day = time.strftime("%Y/%m/%d", time.gmtime())
    start = f"{folder[1:]}AWSLogs/{MAIN}/vpcflowlogs/{REGION}/{day}/{MAIN}_vpcflowlogs_{REGION}_{log}_"
    assert file["Key"].startswith(start)
    assert file["Key"].endswith(".log.gz")
    body = gzip.decompress(world.s3.get_object(Bucket=name, Key=file["Key"])["Body"].read()).decode()
    names, *lines = body.splitlines()
    assert names.split()[3:5] == ["srcaddr", "dstaddr"]
    assert len(lines) == 2
    far = row(lines[0])["dstaddr"]
    sought = Sought(cell="c", near="", far=(f"{far}:443",), begin=time.time(), end=time.time(), action="ACCEPT")
    plane: Any = SimpleNamespace(client=world.stage.root(MAIN).client)
    source = Source(
        kind="flow_log_bucket",
        name=name,
        account="main",
        plane=plane,
        wait=0,
        prefix=folder.strip("/"),
        account_ids=(MAIN,),
        regions=(REGION,),
    )
    found = [record for _, record in source.look([sought.key], since=time.time(), now=time.time())]
    assert [(record.name, record.address) for record in found] == [
        ("ACCEPT", "10.78.1.77"),
        ("ACCEPT of the answer", "10.78.1.77"),
    ]


def test_a_bucket_that_does_not_let_it_in_gets_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.s3.create_bucket(Bucket="flow-closed")
    world.create(world.net.vpc, LogDestinationType="s3", LogDestination="arn:aws:s3:::flow-closed")
    world.create(world.net.a, kind="Subnet")
    world.read()
    waited(world.lines, count=2)
    assert "do not let delivery.logs.amazonaws.com write" in caplog.text
    assert "Contents" not in world.s3.list_objects_v2(Bucket="flow-closed")


def test_a_group_may_be_named_by_its_arn(world: World) -> None:
    arn = f"arn:aws:logs:{REGION}:{MAIN}:log-group:{GROUP}:*"
    (log,) = world.create(world.net.vpc, LogDestination=arn)["FlowLogIds"]
    (described,) = world.ec2.describe_flow_logs(FlowLogIds=[log])["FlowLogs"]
    assert (described["LogDestination"], described["LogGroupName"]) == (arn, GROUP)
    assert described["DeliverLogsStatus"] == "SUCCESS"
    world.read()
    waited(world.lines, count=2)


def test_nothing_is_written_once_a_log_is_deleted_or_from_outside(world: World) -> None:
    (log,) = world.create(world.net.vpc)["FlowLogIds"]
    world.s3.get_object(Bucket="flow-data", Key="k")  # from the internet
    world.ec2.delete_flow_logs(FlowLogIds=[log])
    world.read()
    world.lose()
    world.create(world.net.b, kind="Subnet")
    world.read(world.net.b)
    assert {row(line)["srcaddr"] for line in waited(world.lines, count=2)} & {"10.78.1.77"} == set()
    with pytest.raises(ClientError, match=r"InvalidFlowLogId\.NotFound"):
        world.ec2.delete_flow_logs(FlowLogIds=[log])
