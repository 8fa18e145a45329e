"""What the lab's trails and access logs say of requests, and what they leave out."""

from __future__ import annotations

import gzip
import io
import json
import re
import time
import zipfile
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from pytest_s3vpce.lab.logwriters import LogWriters
from tests.unit.labnetwork import make
from tests.unit.labstage import REGION, Stage, allow, deny, make_role, policy, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.labnetwork import Net
    from tests.unit.labstage import Person

MAIN, PARTNER = "771100000001", "771100000002"
GROUP = "/lab/trail"
REGIONAL = f"https://s3.{REGION}.amazonaws.com"
ALL_OBJECTS: dict[str, Any] = {
    "ReadWriteType": "All",
    "IncludeManagementEvents": True,
    "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}],
}


@dataclass
class World:
    stage: Stage
    net: Net
    endpoint: str
    app: Person

    @property
    def root(self) -> Person:
        return self.stage.root(MAIN)

    def inside(self, **config: Any) -> Any:
        return self.app.client("s3", origin=self.net.at(self.net.a), url=REGIONAL, **config)

    def select(self, *basic: dict[str, Any], advanced: list[dict[str, Any]] | None = None) -> None:
        trail = self.root.client("cloudtrail")
        given: dict[str, Any] = {"AdvancedEventSelectors": advanced} if advanced else {"EventSelectors": list(basic)}
        trail.put_event_selectors(TrailName="main", **given)

    @cached_property
    def logs(self) -> Any:
        return self.root.client("logs")

    def events(self, word: str = "") -> list[dict[str, Any]]:
        pattern = {"filterPattern": f'"{word}"'} if word else {}
        found = self.logs.filter_log_events(logGroupName=GROUP, interleaved=True, **pattern)["events"]
        return [json.loads(row["message"]) for row in found]

    def of(self, request_id: str, *, count: int = 1) -> list[dict[str, Any]]:
        """The records of a request, waited for."""
        return waited(lambda: self.events(request_id), count=count)

    def settled(self) -> None:
        """A moment after which all that was to be written is."""
        mark = self.root.client("s3").put_object(Bucket="trail-data", Key="mark", Body=b"")
        self.of(request_of(mark))


def let_in(bucket: str) -> str:
    """As the console writes it."""
    cloudtrail = {"Service": "cloudtrail.amazonaws.com"}
    full = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    return policy(
        allow("s3:GetBucketAcl", f"arn:aws:s3:::{bucket}", Principal=cloudtrail),
        allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*", Principal=cloudtrail, Condition=full),
    )


def waited(look: Callable[[], list[Any]], *, count: int = 1) -> list[Any]:
    deadline = time.monotonic() + 5
    while len(found := look()) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def request_of(answer: Any) -> str:
    found: str = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
    return found


def failed(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return request_of(caught.value.response)


@pytest.fixture(scope="module")
def world() -> World:
    stage = Stage(MAIN, PARTNER)
    root = stage.root(MAIN)
    s3 = root.client("s3")
    for name in ("trail-data", "trail-other", "trail-files", "trail-lines"):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_policy(Bucket="trail-files", Policy=let_in("trail-files"))
    s3.put_object(Bucket="trail-data", Key="k", Body=b"body")
    net = make(root, MAIN, "10.77")
    endpoint = net.gateway()["VpcEndpointId"]
    role = make_role(root, "app", allow("s3:*"), trust={"AWS": f"arn:aws:iam::{MAIN}:root"})
    root.client("logs").create_log_group(logGroupName=GROUP)
    trail = root.client("cloudtrail")
    trail.create_trail(
        Name="main",
        S3BucketName="trail-files",
        S3KeyPrefix="audit",
        IsMultiRegionTrail=True,
        CloudWatchLogsLogGroupArn=f"arn:aws:logs:{REGION}:{MAIN}:log-group:{GROUP}:*",
        CloudWatchLogsRoleArn=role,
    )
    trail.put_event_selectors(TrailName="main", EventSelectors=[ALL_OBJECTS])
    trail.start_logging(Name="main")
    return World(stage, net, endpoint, stage.admin(MAIN).assume(role, session_name="sent"))


@pytest.fixture(autouse=True)
def _as_before(world: World) -> Iterator[None]:
    yield
    world.select(ALL_OBJECTS)


def test_a_read_by_an_endpoint_is_a_data_event_that_names_it(world: World) -> None:
    got = world.inside(user_agent="probe").get_object(Bucket="trail-data", Key="k")
    (event,) = world.of(request_of(got))
    assert event["eventCategory"] == "Data"
    assert event["eventName"] == "GetObject"
    assert event["eventSource"] == "s3.amazonaws.com"
    assert event["vpcEndpointId"] == world.endpoint
    assert event["vpcEndpointAccountId"] == MAIN
    assert event["sourceIPAddress"] == "10.77.1.77"
    assert event["userAgent"].startswith("[probe ")
    assert event["readOnly"] is True
    assert event["managementEvent"] is False
    assert event["tlsDetails"]["tlsVersion"] == "TLSv1.3"
    assert event["tlsDetails"]["clientProvidedHostHeader"] == f"s3.{REGION}.amazonaws.com"
    assert event["requestParameters"]["bucketName"] == "trail-data"
    assert event["requestParameters"]["key"] == "k"
    assert event["resources"] == [
        {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::trail-data/k"},
        {"accountId": MAIN, "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::trail-data"},
    ]
    assert event["additionalEventData"]["SignatureVersion"] == "SigV4"
    assert event["additionalEventData"]["AuthenticationMethod"] == "AuthHeader"
    assert event["additionalEventData"]["bytesTransferredOut"] == 4
    assert "errorCode" not in event
    who = event["userIdentity"]
    assert who["type"] == "AssumedRole"
    assert who["arn"] == f"arn:aws:sts::{MAIN}:assumed-role/app/sent"
    assert who["sessionContext"]["sessionIssuer"]["arn"] == f"arn:aws:iam::{MAIN}:role/app"
    assert who["sessionContext"]["sessionIssuer"]["userName"] == "app"


def test_plain_http_from_the_internet_leaves_no_tls_and_no_endpoint(world: World) -> None:
    plain = world.app.client("s3", url="http://s3.us-east-1.amazonaws.com").head_object(Bucket="trail-data", Key="k")
    (event,) = world.of(request_of(plain))
    assert event["eventName"] == "HeadObject"
    assert "tlsDetails" not in event
    assert "vpcEndpointId" not in event
    assert event["sourceIPAddress"] == "198.51.100.10"


def test_a_denial_has_its_code_and_words_and_an_absent_key_its_own(world: World) -> None:
    s3 = world.root.client("s3")
    text = policy(deny("s3:GetObject", "arn:aws:s3:::trail-data/closed/*", Principal="*"))
    s3.put_bucket_policy(Bucket="trail-data", Policy=text)
    try:
        denied = failed(world.inside().get_object, Bucket="trail-data", Key="closed/k")
        unseen = failed(world.inside().head_object, Bucket="trail-data", Key="closed/k")
        absent = failed(world.inside().get_object, Bucket="trail-data", Key="not-there")
    finally:
        s3.delete_bucket_policy(Bucket="trail-data")
    (event,) = world.of(denied)
    assert event["errorCode"] == "AccessDenied"
    assert event["errorMessage"].endswith("with an explicit deny in a resource-based policy")
    assert '"arn:aws:s3:::trail-data/closed/k"' in event["errorMessage"]
    assert world.of(unseen)[0]["errorCode"] == "AccessDenied"  # though a HEAD tells its client nothing
    assert world.of(absent)[0]["errorCode"] == "NoSuchKey"


def test_an_endpoint_policys_denial_is_a_network_activity_event_and_no_data_event(world: World) -> None:
    network = [
        {
            "Name": "network",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["NetworkActivity"]},
                {"Field": "eventSource", "Equals": ["s3.amazonaws.com"]},
                {"Field": "errorCode", "Equals": ["VpceAccessDenied"]},
            ],
        },
        {
            "Name": "objects",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
            ],
        },
    ]
    world.select(advanced=network)
    closed = policy(allow("s3:*", ["arn:aws:s3:::trail-other", "arn:aws:s3:::trail-other/*"], Principal="*"))
    world.net.ec2.modify_vpc_endpoint(VpcEndpointId=world.endpoint, PolicyDocument=closed)
    try:
        denied = failed(world.inside().get_object, Bucket="trail-data", Key="k")
        allowed = request_of(world.inside().put_object(Bucket="trail-other", Key="k", Body=b""))
    finally:
        world.net.ec2.modify_vpc_endpoint(VpcEndpointId=world.endpoint, ResetPolicy=True)
    (event,) = world.of(denied)
    assert event["eventCategory"] == "NetworkActivity"
    assert event["eventType"] == "AwsVpceEvent"
    assert event["errorCode"] == "VpceAccessDenied"
    assert event["errorMessage"] == "The request was denied due to a VPC endpoint policy"
    assert event["vpcEndpointId"] == world.endpoint
    assert "requestParameters" not in event
    assert "resources" not in event
    (event,) = world.of(allowed)  # the selector takes refusals only, so this one is the data event alone
    assert event["eventCategory"] == "Data"
    world.select(ALL_OBJECTS)
    world.net.ec2.modify_vpc_endpoint(VpcEndpointId=world.endpoint, PolicyDocument=closed)
    try:
        untold = failed(world.inside().get_object, Bucket="trail-data", Key="k")
    finally:
        world.net.ec2.modify_vpc_endpoint(VpcEndpointId=world.endpoint, ResetPolicy=True)
    world.settled()
    assert not [row for row in world.events() if row.get("requestID") == untold]


def test_files_of_the_trails_bucket_hold_the_same(world: World) -> None:
    got = request_of(world.inside().get_object(Bucket="trail-data", Key="k"))
    (event,) = world.of(got)
    s3 = world.root.client("s3")
    prefix = f"audit/AWSLogs/{MAIN}/CloudTrail/{REGION}/{event['eventTime'][:10].replace('-', '/')}/"

    def files() -> list[dict[str, Any]]:
        keys = [row["Key"] for row in s3.list_objects_v2(Bucket="trail-files", Prefix=prefix).get("Contents", ())]
        assert all(key.startswith(f"{prefix}{MAIN}_CloudTrail_{REGION}_") for key in keys)
        assert all(key.endswith(".json.gz") for key in keys)
        bodies = [s3.get_object(Bucket="trail-files", Key=key)["Body"].read() for key in keys]
        return [row for body in bodies for row in json.loads(gzip.decompress(body))["Records"]]

    assert waited(lambda: [row for row in files() if row["requestID"] == got]) == [event]


def test_what_is_not_authentic_is_not_recorded_and_what_is_anonymous_is(world: World) -> None:
    stranger = type(world.app)(world.stage, "AKIANOBODYKNOWS00000", "secret")
    unknown = failed(stranger.client("s3").get_object, Bucket="trail-data", Key="k")
    nobody = failed(world.app.client("s3", signature_version=UNSIGNED).get_object, Bucket="trail-data", Key="k")
    (event,) = world.of(nobody)
    assert event["userIdentity"] == {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
    assert "AuthenticationMethod" not in event["additionalEventData"]
    assert not [row for row in world.events() if row.get("requestID") == unknown]


def test_of_foreigners_the_owner_learns_their_account_only(world: World) -> None:
    foreign = failed(world.stage.root(PARTNER).client("s3").get_object, Bucket="trail-data", Key="k")
    (event,) = world.of(foreign)
    assert event["userIdentity"] == {"type": "AWSAccount", "principalId": PARTNER, "accountId": PARTNER}
    assert event["recipientAccountId"] == MAIN
    assert event["sharedEventID"] != event["eventID"]
    ours = request_of(world.root.client("s3").head_object(Bucket="trail-data", Key="k"))
    who = world.of(ours)[0]["userIdentity"]
    assert who["type"] == "Root"
    user = world.stage.user(MAIN).client("sts").get_caller_identity()["ResponseMetadata"]["RequestId"]
    (event,) = world.of(user)
    assert event["userIdentity"]["type"] == "IAMUser"
    assert event["userIdentity"]["userName"] == "s3vpce-runner"
    assert event["eventCategory"] == "Management"


def test_management_events_of_buckets_and_other_services(world: World) -> None:
    s3 = world.root.client("s3")
    kept = request_of(
        s3.put_public_access_block(Bucket="trail-other", PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    )
    (event,) = world.of(kept)
    assert event["eventName"] == "PutBucketPublicAccessBlock"
    assert event["eventCategory"] == "Management"
    assert event["managementEvent"] is True
    assert event["readOnly"] is False
    assert event["resources"] == [{"accountId": MAIN, "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::trail-other"}]
    listed = request_of(s3.list_objects_v2(Bucket="trail-other", Prefix="a/"))
    (event,) = world.of(listed)
    assert event["eventName"] == "ListObjects"
    assert event["eventCategory"] == "Data"
    assert event["requestParameters"]["prefix"] == "a/"
    assert event["resources"][0] == {"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::trail-other/"}
    world.root.client("iam").list_roles()
    (event,) = waited(lambda: [row for row in world.events() if row["eventName"] == "ListRoles"])
    assert (event["eventSource"], event["awsRegion"]) == ("iam.amazonaws.com", "us-east-1")


@pytest.mark.parametrize(
    ("selector", "recorded"),
    [
        ({**ALL_OBJECTS, "ReadWriteType": "WriteOnly"}, {"put", "put-other"}),
        ({**ALL_OBJECTS, "ReadWriteType": "ReadOnly"}, {"get", "policy"}),
        (
            {
                **ALL_OBJECTS,
                "IncludeManagementEvents": False,
                "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::trail-data/"]}],
            },
            {"get", "put"},
        ),
        ({**ALL_OBJECTS, "DataResources": []}, {"policy"}),
        (
            {**ALL_OBJECTS, "ExcludeManagementEventSources": ["s3.amazonaws.com"], "DataResources": []},
            set(),
        ),
    ],
)
def test_basic_selectors(world: World, selector: dict[str, Any], recorded: set[str]) -> None:
    world.select(selector)
    assert sent_and_recorded(world) == recorded


@pytest.mark.parametrize(
    ("fields", "recorded"),
    [
        ([{"Field": "eventCategory", "Equals": ["Management"]}], {"policy"}),
        (
            [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::trail-other/"]},
            ],
            {"put-other"},
        ),
        (
            [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                {"Field": "resources.ARN", "NotStartsWith": ["arn:aws:s3:::trail-other/"]},
                {"Field": "readOnly", "Equals": ["false"]},
            ],
            {"put"},
        ),
        (
            [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "eventName", "NotEquals": ["PutObject"]},
            ],
            {"get"},
        ),
        (
            [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "eventName", "EndsWith": ["Object"], "NotStartsWith": ["Get"]},
                {"Field": "userIdentity.arn", "EndsWith": ["/sent"]},
            ],
            {"put", "put-other"},
        ),
        (
            [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "errorCode", "Equals": ["AccessDenied"]}],
            set(),
        ),
    ],
)
def test_advanced_selectors(world: World, fields: list[dict[str, Any]], recorded: set[str]) -> None:
    world.select(advanced=[{"FieldSelectors": fields}])
    assert sent_and_recorded(world) == recorded


def sent_and_recorded(world: World) -> set[str]:
    s3 = world.inside()
    sent = {
        "get": request_of(s3.get_object(Bucket="trail-data", Key="k")),
        "put": request_of(s3.put_object(Bucket="trail-data", Key="p", Body=b"")),
        "put-other": request_of(s3.put_object(Bucket="trail-other", Key="p", Body=b"")),
        "policy": request_of(s3.get_bucket_versioning(Bucket="trail-data")),
    }
    world.select(ALL_OBJECTS)
    world.settled()
    names = {value: name for name, value in sent.items()}
    return {names[row["requestID"]] for row in world.events() if row.get("requestID") in names}


def test_a_trail_of_one_region_or_one_that_stopped_takes_less(world: World) -> None:
    trail = world.root.client("cloudtrail")
    trail.update_trail(Name="main", IsMultiRegionTrail=False)
    far = world.root.client("s3", region="eu-west-1")
    far.create_bucket(Bucket="trail-far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    elsewhere = request_of(far.put_object(Bucket="trail-far", Key="k", Body=b""))
    trail.stop_logging(Name="main")
    stopped = request_of(world.inside().get_object(Bucket="trail-data", Key="k"))
    trail.start_logging(Name="main")
    trail.update_trail(Name="main", IsMultiRegionTrail=True)
    there = request_of(far.put_object(Bucket="trail-far", Key="k", Body=b""))
    (event,) = world.of(there)
    assert event["awsRegion"] == "eu-west-1"
    assert event["additionalEventData"]["SSEApplied"] == "SSE_S3"
    assert not [row for row in world.events() if row.get("requestID") in {elsewhere, stopped}]


def test_access_logs_have_a_line_for_each_request_but_an_endpoint_policys_denial(world: World) -> None:
    s3 = world.root.client("s3")
    delivery = {"Service": "logging.s3.amazonaws.com"}
    s3.put_bucket_policy(
        Bucket="trail-lines", Policy=policy(allow("s3:PutObject", "arn:aws:s3:::trail-lines/*", Principal=delivery))
    )
    enabled = {"LoggingEnabled": {"TargetBucket": "trail-lines", "TargetPrefix": "data/"}}
    s3.put_bucket_logging(Bucket="trail-data", BucketLoggingStatus=enabled)
    got = request_of(world.inside(user_agent='a "b"').get_object(Bucket="trail-data", Key="k"))
    listed = request_of(world.inside().list_objects_v2(Bucket="trail-data"))
    absent = failed(world.root.client("s3").get_object, Bucket="trail-data", Key="no such")
    world.net.ec2.modify_vpc_endpoint(VpcEndpointId=world.endpoint, PolicyDocument=policy(deny("*", Principal="*")))
    untold = failed(world.inside().get_object, Bucket="trail-data", Key="k")
    world.net.ec2.modify_vpc_endpoint(VpcEndpointId=world.endpoint, ResetPolicy=True)
    last = request_of(s3.get_object(Bucket="trail-data", Key="k"))
    s3.put_bucket_logging(Bucket="trail-data", BucketLoggingStatus={})

    def lines() -> dict[str, str]:
        keys = [row["Key"] for row in s3.list_objects_v2(Bucket="trail-lines", Prefix="data/").get("Contents", ())]
        texts = [s3.get_object(Bucket="trail-lines", Key=key)["Body"].read().decode() for key in keys]
        return {line.split(" ")[6]: line for text in texts for line in text.splitlines()}

    waited(lambda: [1] if last in lines() else [])
    found = lines()
    assert untold not in found
    assert " trail-data [" in found[got]
    assert f" 10.77.1.77 arn:aws:sts::{MAIN}:assumed-role/app/sent {got} REST.GET.OBJECT k " in found[got]
    assert '"GET /trail-data/k HTTP/1.1" 200 - 4 ' in found[got]
    assert ' "a %22b%22 Botocore' in found[got]
    assert found[got].endswith(f" s3.{REGION}.amazonaws.com TLSv1.3 - - {REGION}")
    assert " REST.GET.BUCKET - " in found[listed]
    assert " REST.GET.OBJECT no%20such " in found[absent]
    assert " 404 NoSuchKey " in found[absent]


def test_a_bucket_or_group_that_is_gone_takes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    partner = world.stage.root(PARTNER)
    partner.client("s3").create_bucket(Bucket="trail-gone")
    partner.client("s3").put_bucket_policy(Bucket="trail-gone", Policy=let_in("trail-gone"))
    trail = partner.client("cloudtrail")
    group = f"arn:aws:logs:{REGION}:{PARTNER}:log-group:gone:*"
    role = f"arn:aws:iam::{PARTNER}:role/none"
    trail.create_trail(
        Name="gone", S3BucketName="trail-gone", CloudWatchLogsLogGroupArn=group, CloudWatchLogsRoleArn=role
    )
    partner.client("s3").delete_bucket(Bucket="trail-gone")
    trail.start_logging(Name="gone")

    def told(words: str) -> list[str]:
        return waited(lambda: [row for row in caplog.messages if words in row])

    assert told("`trail-gone` for log files does not exist")
    assert told("the log group `gone` of trail `gone` does not exist")
    trail.delete_trail(Name="gone")


def test_an_organizations_trail_has_its_members_events_under_the_organizations_id(world: World) -> None:
    organizations = world.root.client("organizations")
    organization = organizations.create_organization(FeatureSet="ALL")["Organization"]["Id"]
    made = organizations.create_account(AccountName="member", Email="member@example.com")["CreateAccountStatus"]
    member = world.stage.admin(MAIN).assume(f"arn:aws:iam::{made['AccountId']}:role/OrganizationAccountAccessRole")
    trail = world.root.client("cloudtrail")
    trail.update_trail(Name="main", IsOrganizationTrail=True)
    asked = member.client("sts").get_caller_identity()["ResponseMetadata"]["RequestId"]
    outside = world.stage.root(PARTNER).client("sts").get_caller_identity()["ResponseMetadata"]["RequestId"]
    (event,) = world.of(asked)
    trail.update_trail(Name="main", IsOrganizationTrail=False)
    assert event["recipientAccountId"] == made["AccountId"]
    assert not [row for row in world.events() if row.get("requestID") == outside]
    s3 = world.root.client("s3")
    prefix = f"audit/AWSLogs/{organization}/{made['AccountId']}/CloudTrail/{REGION}/"
    waited(lambda: s3.list_objects_v2(Bucket="trail-files", Prefix=prefix).get("Contents", []))


def test_a_bucket_must_let_cloudtrail_in_and_go_on_to_do_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    partner = world.stage.root(PARTNER)
    s3, trail = partner.client("s3"), partner.client("cloudtrail")
    s3.create_bucket(Bucket="trail-closed")
    wanted = (
        400,
        "InsufficientS3BucketPolicyException",
        "Incorrect S3 bucket policy is detected for bucket: trail-closed",
    )
    assert refusal(trail.create_trail, Name="closed", S3BucketName="trail-closed") == wanted
    s3.put_bucket_policy(Bucket="trail-closed", Policy=let_in("trail-closed"))
    trail.create_trail(Name="closed", S3BucketName="trail-closed", S3KeyPrefix="a")
    through = {"StringNotEquals": {"aws:SourceVpce": world.endpoint}}
    shut = deny("s3:*", ["arn:aws:s3:::trail-closed", "arn:aws:s3:::trail-closed/*"], Principal="*", Condition=through)
    opened = json.loads(let_in("trail-closed"))["Statement"]
    s3.put_bucket_policy(Bucket="trail-closed", Policy=policy(*opened, shut))
    assert refusal(trail.update_trail, Name="closed", S3BucketName="trail-closed") == wanted
    trail.start_logging(Name="closed")
    words = "the policies of `trail-closed` do not let cloudtrail.amazonaws.com write `a/AWSLogs/"
    waited(lambda: [row for row in caplog.messages if row.startswith(words)])
    spared = {"Bool": {"aws:PrincipalIsAWSService": "false"}}
    s3.put_bucket_policy(Bucket="trail-closed", Policy=policy(*opened, {**shut, "Condition": {**through, **spared}}))
    trail.update_trail(Name="closed", S3BucketName="trail-closed")
    trail.delete_trail(Name="closed")


def test_invocations_are_data_events_that_no_selector_of_objects_takes(world: World) -> None:
    client = world.root.client("lambda")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): pass")
    role = make_role(world.root, "fn", trust={"Service": "lambda.amazonaws.com"})
    code: Any = {"ZipFile": data.getvalue()}
    client.create_function(FunctionName="fn", Runtime="python3.13", Role=role, Handler="index.handler", Code=code)
    assert client.invoke(FunctionName="fn")["StatusCode"] == 200
    world.settled()
    assert not [row for row in world.events() if row["eventName"] == "Invoke"]


@pytest.mark.parametrize("by", ["policy", "acl"])
def test_access_logs_need_no_trail(by: str) -> None:
    account = {"policy": "771100000003", "acl": "771100000004"}[by]
    stage = Stage(account)
    s3 = stage.root(account).client("s3")
    of, to = f"lines-of-{by}", f"lines-in-{by}"
    s3.create_bucket(Bucket=of)
    if by == "acl":
        s3.create_bucket(Bucket=to, ObjectOwnership="ObjectWriter")
        s3.put_bucket_acl(Bucket=to, ACL="log-delivery-write")
    else:
        s3.create_bucket(Bucket=to)
        delivery = {"Service": "logging.s3.amazonaws.com"}
        text = policy(allow(["s3:PutObject"], [f"arn:aws:s3:::{to}/*"], Principal=delivery))
        s3.put_bucket_policy(Bucket=to, Policy=text)
    enabled: dict[str, Any] = {"LoggingEnabled": {"TargetBucket": to, "TargetPrefix": ""}}
    if by == "policy":
        dated = {"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}}
        enabled["LoggingEnabled"] |= {"TargetPrefix": "dated/", "TargetObjectKeyFormat": dated}
    s3.put_bucket_logging(Bucket=of, BucketLoggingStatus=enabled)
    assert s3.get_bucket_logging(Bucket=of)["LoggingEnabled"] == enabled["LoggingEnabled"]
    anonymous = stage.root(account).client("s3", signature_version=UNSIGNED)
    failed(anonymous.list_objects_v2, Bucket=of)

    def lines() -> list[str]:
        keys = [row["Key"] for row in s3.list_objects_v2(Bucket=to).get("Contents", ())]
        texts = [s3.get_object(Bucket=to, Key=key)["Body"].read().decode() for key in keys]
        return [line for text in texts for line in text.splitlines()]

    found = waited(lines, count=3)
    assert any(" REST.PUT.LOGGING_STATUS - " in line for line in found)
    (key, *_) = [row["Key"] for row in s3.list_objects_v2(Bucket=to)["Contents"]]
    where = rf"dated/{account}/us-east-1/{of}/\d{{4}}/\d\d/\d\d/" if by == "policy" else ""
    assert re.fullmatch(rf"{where}[0-9]{{4}}(-[0-9]{{2}}){{5}}-[0-9A-F]{{16}}", key)
    assert any(" 198.51.100.10 - " in line and " 403 AccessDenied " in line for line in found)


@pytest.mark.parametrize(
    "selectors",
    [
        {"EventSelectors": [{"ReadWriteType": "Foo"}]},
        {"EventSelectors": [{**ALL_OBJECTS, "DataResources": [{"Values": ["arn:aws:s3"]}]}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": []}]}, {}]},
    ],
)
def test_selectors_that_can_not_be_are_refused_and_every_call_goes_on(world: World, selectors: dict[str, Any]) -> None:
    trail = world.root.client("cloudtrail", parameter_validation=False)
    with pytest.raises(ClientError, match="InvalidEventSelectorsException"):
        trail.put_event_selectors(TrailName="main", **selectors)
    assert world.root.client("s3").get_object(Bucket="trail-data", Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"x", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"{}", "InvalidTrailNameException"),
        (b'{"S3BucketName": "trail-data"}', "InvalidTrailNameException"),
        (b'{"Name": 5, "S3BucketName": "trail-data"}', "InvalidTrailNameException"),
        (b'{"Name": "nowhere"}', "S3BucketDoesNotExistException"),
        (b'{"Name": "nowhere", "S3BucketName": 5}', "S3BucketDoesNotExistException"),
    ],
)
def test_a_trail_without_a_name_or_a_bucket_is_refused(world: World, body: bytes, code: str) -> None:
    trail = world.root.client("cloudtrail")
    before = trail.describe_trails()["trailList"]
    sending = world.root.client("cloudtrail")
    sending.meta.events.register("before-sign", lambda request, **_: setattr(request, "data", body))
    with pytest.raises(ClientError, match=code) as caught:
        sending.create_trail(Name="unsent", S3BucketName="unsent")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert trail.describe_trails()["trailList"] == before


def test_what_fails_on_its_way_does_not_keep_the_next_records(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.select({**ALL_OBJECTS})
    s3 = world.root.client("s3")
    with monkeypatch.context() as broken:
        broken.setattr(LogWriters, "may_put", lambda *_: 1 / 0)
        s3.put_object(Bucket="trail-data", Key="lost", Body=b"")
        assert waited(lambda: [row for row in caplog.messages if row == "records could not be delivered"])
    following = request_of(s3.put_object(Bucket="trail-data", Key="following", Body=b""))
    assert [row["requestID"] for row in world.of(following)] == [following]


def test_keys_of_log_files_are_what_the_prefix_says(world: World) -> None:
    trail = world.root.client("cloudtrail")
    (made,) = trail.describe_trails(trailNameList=["main"])["trailList"]
    trail.create_trail(Name="odd", S3BucketName=made["S3BucketName"], S3KeyPrefix="a b?acl")
    trail.start_logging(Name="odd")
    s3 = world.root.client("s3")
    try:
        found = waited(
            lambda: s3.list_objects_v2(Bucket=made["S3BucketName"], Prefix="a b?acl/AWSLogs/").get("Contents", [])
        )
    finally:
        trail.delete_trail(Name="odd")
    assert found[0]["Key"].endswith(".json.gz")
