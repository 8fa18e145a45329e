"""Every safe form of the catalogue against a bucket that has everything: it tells who may, and changes nothing."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_s3vpce.calibration import Calibration, Finding
from pytest_s3vpce.lab.wire import HttpRequest
from pytest_s3vpce.model import Answer, Cell, Layer, Outcome, OutcomeKind, Target
from pytest_s3vpce.operations import OPERATIONS, Operation, default_operation, operation
from pytest_s3vpce.outcome import classify
from pytest_s3vpce.probe import Credentials, Destination, Probe, ProbeBuilder
from pytest_s3vpce.run.observed import Observed, outcome_of
from pytest_s3vpce.run.results import _alarms
from pytest_s3vpce.undocumented import OTHER_ANSWER
from tests.unit.labstage import INTERNET, LOADER, REGION, Person, Stage, allow, make_role, policy

MAIN = "393000000001"
BUCKET, LOGS, COPIES = "safe-forms", "safe-forms-logs", "safe-forms-copies"
KEY, BODY = "canary", b"the canary"
USER = f"arn:aws:iam::{MAIN}:user/s3vpce-runner"
ROLE = f"arn:aws:iam::{MAIN}:role/may-all"
OWNER = {"AWS": f"arn:aws:iam::{MAIN}:root"}
POLICY = policy(allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/shared", Principal=OWNER))
SAFE = [row for row in OPERATIONS.values() if row.safe is not None]
NAMES = [row.name for row in SAFE]
BUILDER = ProbeBuilder(user_agent="s3vpce/test", loader=LOADER)


@pytest.fixture(scope="module")
def stage() -> Stage:
    made = Stage(MAIN)
    _furnish(made)
    return made


@pytest.fixture(scope="module")
def allowed(stage: Stage) -> Person:
    arn = make_role(stage.admin(MAIN), "may-all", allow("s3:*"), trust={"AWS": USER})
    return stage.user(MAIN).assume(arn)


@pytest.fixture(scope="module")
def sts(stage: Stage, allowed: Person) -> Any:
    assert allowed.token
    return stage.user(MAIN).client("sts")


def _furnish(stage: Stage) -> None:
    """A bucket with everything that can be set, and objects with everything that they can have."""
    s3 = stage.admin(MAIN).client("s3")
    for name in (LOGS, COPIES):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=COPIES, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_ownership_controls(Bucket=LOGS, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_bucket_acl(Bucket=LOGS, ACL="log-delivery-write")
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True, ObjectOwnership="ObjectWriter")
    _configure(stage, s3)
    for body in (b"older", BODY):
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=body, Tagging="team=blue")
    s3.put_object(Bucket=BUCKET, Key="marked", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="marked")
    s3.put_object_legal_hold(Bucket=BUCKET, Key=KEY, LegalHold={"Status": "ON"})
    s3.put_object_acl(Bucket=BUCKET, Key=KEY, ACL="authenticated-read")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="uploading")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="uploading", UploadId=upload, PartNumber=1, Body=b"part")


def _configure(stage: Stage, s3: Any) -> None:
    bucket, arn = {"Bucket": BUCKET}, f"arn:aws:s3:::{COPIES}"
    s3.put_public_access_block(**bucket, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    s3.put_bucket_acl(**bucket, ACL="authenticated-read")
    s3.put_bucket_policy(**bucket, Policy=POLICY)
    s3.put_bucket_tagging(**bucket, Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]})
    s3.put_bucket_logging(
        **bucket, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": LOGS, "TargetPrefix": "logs/"}}
    )
    rule = {"ID": "old", "Filter": {"Prefix": "old/"}, "Status": "Enabled", "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": [rule]})
    role = make_role(stage.admin(MAIN), "replicator", trust={"Service": "s3.amazonaws.com"})
    s3.put_bucket_replication(
        **bucket,
        ReplicationConfiguration={
            "Role": role,
            "Rules": [{"ID": "all", "Prefix": "", "Status": "Enabled", "Destination": {"Bucket": arn}}],
        },
    )
    rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.com"]}]
    s3.put_bucket_cors(**bucket, CORSConfiguration={"CORSRules": rules})
    s3.put_bucket_website(**bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    topic = stage.admin(MAIN).client("sns").create_topic(Name="told")["TopicArn"]
    told = [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]
    s3.put_bucket_notification_configuration(**bucket, NotificationConfiguration={"TopicConfigurations": told})
    s3.put_bucket_accelerate_configuration(**bucket, AccelerateConfiguration={"Status": "Enabled"})
    s3.put_bucket_request_payment(**bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    default = {"Mode": "GOVERNANCE", "Days": 1}
    s3.put_object_lock_configuration(
        **bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}
    )
    s3.put_bucket_metrics_configuration(**bucket, Id="all", MetricsConfiguration={"Id": "all"})
    export = {"Format": "CSV", "Bucket": arn}
    s3.put_bucket_inventory_configuration(
        **bucket,
        Id="weekly",
        InventoryConfiguration={
            "Id": "weekly",
            "IsEnabled": True,
            "Destination": {"S3BucketDestination": export},
            "IncludedObjectVersions": "All",
            "Schedule": {"Frequency": "Weekly"},
        },
    )
    s3.put_bucket_analytics_configuration(
        **bucket, Id="all", AnalyticsConfiguration={"Id": "all", "StorageClassAnalysis": {}}
    )
    tiering = {"Id": "cold", "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}
    s3.put_bucket_intelligent_tiering_configuration(**bucket, Id="cold", IntelligentTieringConfiguration=tiering)


# --- sending ---------------------------------------------------------------------------------------------------------


def send(stage: Stage, who: Person, row: Operation) -> Answer:
    """The row's safe form, built as a run builds it, answered by the lab."""
    version = stage.state.stored(BUCKET, KEY).version_id
    here = Destination(
        bucket=BUCKET,
        owner=MAIN,
        region=REGION,
        key=KEY,
        canary_body=BODY,
        absent_key=f"{KEY}.absent-test",
        canary_version=version,
    )
    cell = Cell(
        operation=row.name,
        action=row.default_of or row.actions[0],
        target=Target(bucket=BUCKET),
        principal="p",
        vantage="v",
        inferred=True,
    )
    keys = Credentials(access_key_id=who.key, secret_access_key=who.secret, session_token=who.token)
    request = BUILDER.build(Probe(cell=cell), request_id="r", destination=here, credentials=keys)
    parts = urlsplit(request.url)
    answer = stage.gateway.handle(
        HttpRequest(
            method=request.method,
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            headers=(("Host", parts.netloc), *request.headers),
            body=request.body,
            host=parts.netloc,
            scheme="https",
            tls="TLSv1.3",
            origin=INTERNET,
            peer="127.0.0.1:1",
        )
    )
    named = {name.lower(): value for name, value in answer.headers}
    return Answer(id="r", status=answer.status, headers=named, body=answer.body)


def outcome(answer: Answer, row: Operation) -> Outcome:
    assert row.safe is not None
    return classify(answer, operation=row.api_name, authorised=row.safe.authorised)


def dump(value: Any, seen: frozenset[int] = frozenset()) -> Any:
    """All that an object of the state holds, however deep, as plain values."""
    if value is None or isinstance(value, (str, bytes, int, float)):
        return value
    if id(value) in seen:
        return "(itself)"
    seen |= {id(value)}
    if isinstance(value, dict):
        return sorted((repr(key), repr(dump(row, seen))) for key, row in list(value.items()) if not _moves(key))
    if isinstance(value, (list, tuple, set, frozenset)):
        return [dump(row, seen) for row in value]
    if hasattr(value, "read"):
        place = value.tell()
        value.seek(0)
        found = value.read()
        value.seek(place)
        return found
    return (type(value).__name__, dump(vars(value), seen)) if hasattr(value, "__dict__") else repr(value)


def _moves(key: Any) -> bool:
    """What every request moves: the state's own clock, and the access logs that S3 writes."""
    text = str(key)
    return text in ("_tick", "_time_progressed") or text.startswith(("logs/", f"arn:aws:s3:::{LOGS}/logs/"))


def state_of(stage: Stage) -> str:
    """Every bucket of the account: settings, versions, uploads, tags and access lists."""
    backend = stage.state.backends("s3")[MAIN]["aws"]
    return "\n".join(json.dumps(dump(part), default=repr) for part in (backend.buckets, backend.tagger))


# --- the table itself ------------------------------------------------------------------------------------------------


def test_the_catalogue_is_wide_and_says_why_where_nothing_is_sent() -> None:
    assert len(OPERATIONS) >= 60
    for row in OPERATIONS.values():
        assert bool(row.safe) != bool(row.unsafe), row.name
        assert row.source.startswith("https://docs.aws.amazon.com/"), row.name
        assert row.open <= (row.safe.parameters.keys() if row.safe else set()), row.name


def test_every_action_has_one_default_and_every_conditional_one_is_an_action() -> None:
    defaults = [row.default_of for row in OPERATIONS.values() if row.default_of]
    assert len(defaults) == len(set(defaults))
    asked = {requirement.action for row in OPERATIONS.values() for requirement in row.requires}
    assert asked <= set(defaults)
    versioned = {requirement.versioned for row in OPERATIONS.values() for requirement in row.requires}
    assert versioned - {None} <= set(defaults)


@pytest.mark.parametrize("name", NAMES)
def test_a_form_that_writes_is_held_back_by_more_than_policies(name: str) -> None:
    """What it sends could not change anything if it were taken: or AWS documents that it is refused."""
    row = operation(name)
    assert row.safe is not None
    if not row.writes:
        assert not row.safe.document
        return
    assert row.safe.note
    bogus = re.compile(r"s3vpce|S3VPCE|0{32}|<the canary's key with")
    held = bogus.search(repr(row.safe.parameters)) or row.safe.document or row.safe.parameters == {"Policy": "{}"}
    assert held or row.safe.documented


# --- in the lab ------------------------------------------------------------------------------------------------------


def test_no_form_changes_anything_even_by_one_who_may_do_all(stage: Stage, allowed: Person) -> None:
    before = state_of(stage)
    assert "uploading" in before
    wrong = {}
    for row in SAFE:
        answer = send(stage, allowed, row)
        found = outcome(answer, row)
        if found.kind is not OutcomeKind.ALLOWED:
            wrong[row.name] = f"{answer.status} {found.code} {found.reason}"
        now = state_of(stage)
        if now != before:
            wrong[row.name] = "CHANGED something"
            before = now
    assert wrong == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_form_is_denied_to_one_refused_that_action_alone(stage: Stage, sts: Any, name: str) -> None:
    row = operation(name)
    action = row.default_of or row.actions[0]
    limits = policy(allow("s3:*"), {**allow(action), "Effect": "Deny"})
    keys = sts.assume_role(RoleArn=ROLE, RoleSessionName="test", Policy=limits)["Credentials"]
    refused = Person(stage, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    found = outcome(send(stage, refused, row), row)
    assert found.kind is OutcomeKind.DENIED, found
    if row.method.startswith("head_"):
        assert found.layer is None
    else:
        assert (found.action, found.explicit, found.layer) == (action, True, Layer.SESSION)


@pytest.mark.parametrize("action", ["s3:PutBucketPolicy", "s3:PutBucketVersioning", "s3:PutObject", "s3:DeleteObject"])
def test_the_buckets_own_policy_refuses_as_well(stage: Stage, allowed: Person, action: str) -> None:
    owner = stage.root(MAIN).client("s3")
    arns = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    refusal = {**allow(action, arns, Principal={"AWS": ROLE}), "Effect": "Deny"}
    owner.put_bucket_policy(Bucket=BUCKET, Policy=policy(refusal))
    row = default_operation(action)
    found = outcome(send(stage, allowed, row), row)
    owner.put_bucket_policy(Bucket=BUCKET, Policy=POLICY)
    assert (found.kind, found.action, found.layer) == (OutcomeKind.DENIED, action, Layer.RESOURCE)
    assert outcome(send(stage, allowed, row), row).kind is OutcomeKind.ALLOWED


# --- forms that do not hold ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "body", "mutating", "told"),
    [
        ("PutBucketVersioning", 200, "", False, True),
        ("PutObject", 200, "", False, True),
        ("PutObject", 200, "", True, False),
        ("DeleteObjectVersion", 204, "", False, False),
        ("DeleteObjects", 200, "<DeleteResult><Deleted/></DeleteResult>", False, True),
        ("DeleteObjects", 200, "<R><Error><Code>PreconditionFailed</Code></Error></R>", False, False),
        ("DeleteObjects", 200, "<R><Error><Code>AccessDenied</Code></Error></R>", False, False),
        ("GetObject", 206, "x", False, False),
    ],
)
def test_a_write_that_goes_through_is_told(name: str, status: int, body: str, mutating: bool, told: bool) -> None:
    row = operation(name)
    cell = Cell(
        operation=name, action="s3:x", target=Target(bucket=BUCKET), principal="p", vantage="v", mutating=mutating
    )
    answer = Answer(id="r", status=status, headers={"x-amz-request-id": "ID"}, body=body.encode())
    probe = Probe(cell=cell)
    seen = Observed(answers={probe: answer}, outcomes={probe: outcome(answer, row)})
    notes = list(_alarms(seen))
    assert bool(notes) is told
    if told:
        assert f"{name}/{BUCKET}/p:v/https SUCCEEDED with {status}, although its form should be refused" in notes[0]


UNSAFE = [row.name for row in OPERATIONS.values() if row.safe is None and row.name != "DeleteBucket"]


def test_the_lab_serves_what_is_never_probed_too(stage: Stage) -> None:
    s3 = stage.admin(MAIN).client("s3")
    bucket = {"Bucket": "safe-forms-served"}
    s3.create_bucket(**bucket)
    s3.put_object(**bucket, Key=KEY, Body=b"a,b\n1,2\n")
    select = {
        "Key": KEY,
        "Expression": "SELECT * FROM S3Object",
        "ExpressionType": "SQL",
        "InputSerialization": {"CSV": {}},
        "OutputSerialization": {"CSV": {}},
    }
    for name in UNSAFE:
        more = select if name == "SelectObjectContent" else {}
        answer = getattr(s3, operation(name).method)(**bucket, **more)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] in (200, 204), name
    s3.delete_object(**bucket, Key=KEY)
    s3.delete_bucket(**bucket)


@pytest.mark.parametrize(("answer", "kind"), [("400 Odd", OutcomeKind.ALLOWED), ("", OutcomeKind.INCONCLUSIVE)])
def test_an_answer_that_a_calibration_found_counts(answer: str, kind: OutcomeKind) -> None:
    rule = "form/PutBucketCors"
    made = Calibration(findings={rule: Finding(rule=rule, value=OTHER_ANSWER, answer=answer)})
    cell = Cell(
        operation="PutBucketCors",
        action="s3:x",
        target=Target(bucket=BUCKET),
        principal="p",
        vantage="v",
        inferred=True,
    )
    probe = Probe(cell=cell)
    body = b"<Error><Code>Odd</Code><Message>odd</Message></Error>"
    given = Answer(id="r", status=400, headers={"x-amz-request-id": "ID"}, body=body)
    assert outcome_of(probe, Observed(answers={probe: given}, calibration=made)).kind is kind
