"""Each claim in the lab: proven on its bucket, and refuted without any single protection of it.

What takes a protection away is done to all buckets at once, round by round: a round is one run.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_s3vpce.run import deletions
from pytest_s3vpce.run.folder import RunFolder
from pytest_s3vpce.run.predicting import predicted
from pytest_s3vpce.run.sweeping import sweep_folder
from pytest_s3vpce.vantage import Kind, Ledger, policies
from tests.acceptance.conftest import staged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pytest_s3vpce.matrix import ClaimResult
    from tests.acceptance.conftest import Stage

    Removal = Callable[[Stage], AbstractContextManager[None]]

NAME: Final = "every-claim-{}"
ALL_BLOCKS: Final = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged("every_claim", tmp_path_factory.mktemp("every")) as made:
        yield made


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's policies are in force at once."""
    monkeypatch.setattr(deletions, "CALM", 0.0)


def allowed(bucket: str, action: str, principal: Any, **more: Any) -> dict[str, Any]:
    resource = [f"arn:aws:s3:::{NAME.format(bucket)}", f"arn:aws:s3:::{NAME.format(bucket)}/*"]
    return {"Sid": "Added", "Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource, **more}


def policy(bucket: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Removal:
    """The statements of a bucket's policy with a change, for a while."""

    @contextmanager
    def removal(stage: Stage) -> Iterator[None]:
        s3, name = stage.client("s3"), NAME.format(bucket)
        try:
            before = s3.get_bucket_policy(Bucket=name)["Policy"]
        except s3.exceptions.from_code("NoSuchBucketPolicy"):
            before = None
        statements = change(json.loads(before)["Statement"] if before else [])
        text = json.dumps({"Version": "2012-10-17", "Statement": statements})
        s3.put_bucket_policy(Bucket=name, Policy=text) if statements else s3.delete_bucket_policy(Bucket=name)
        try:
            yield
        finally:
            s3.put_bucket_policy(Bucket=name, Policy=before) if before else s3.delete_bucket_policy(Bucket=name)

    return removal


def without(bucket: str, sid: str) -> Removal:
    def change(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = [row for row in statements if row["Sid"] != sid]
        assert len(kept) == len(statements) - 1
        return kept

    return policy(bucket, change)


def altered(bucket: str, sid: str, **elements: Any) -> Removal:
    """A statement with other elements; None takes one away."""

    def change(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert sid in [row["Sid"] for row in statements]
        rows = [{**row, **elements} if row["Sid"] == sid else row for row in statements]
        return [{name: value for name, value in row.items() if value is not None} for row in rows]

    return policy(bucket, change)


def adding(bucket: str, *more: dict[str, Any]) -> Removal:
    return policy(bucket, lambda statements: [*statements, *more])


def unblocked(bucket: str, then: Removal | None = None) -> Removal:
    """Block Public Access off, and perhaps something that it stood before."""

    @contextmanager
    def removal(stage: Stage) -> Iterator[None]:
        s3, name = stage.client("s3"), NAME.format(bucket)
        s3.delete_public_access_block(Bucket=name)
        try:
            with then(stage) if then else ExitStack():
                yield
        finally:
            on = dict.fromkeys(ALL_BLOCKS, True)
            s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=on)

    return removal


def endpoint(element: str, value: Any) -> Removal:
    """The one statement of the main endpoint's policy with another element."""

    @contextmanager
    def removal(stage: Stage) -> Iterator[None]:
        ec2, name = stage.client("ec2"), stage.outputs["Endpoint"]
        before = ec2.describe_vpc_endpoints(VpcEndpointIds=[name])["VpcEndpoints"][0]["PolicyDocument"]
        policy = json.loads(before)
        policy["Statement"][0][element] = value
        ec2.modify_vpc_endpoint(VpcEndpointId=name, PolicyDocument=json.dumps(policy))
        try:
            yield
        finally:
            ec2.modify_vpc_endpoint(VpcEndpointId=name, PolicyDocument=before)

    return removal


def reading(statement: int, element: str, value: Any) -> Removal:
    """A statement of the reader's own policy with another element."""

    @contextmanager
    def removal(stage: Stage) -> Iterator[None]:
        named = {"RoleName": "reader", "PolicyName": "buckets"}
        iam = stage.client("iam")
        before = iam.get_role_policy(**named)["PolicyDocument"]
        wider = json.loads(json.dumps(before))
        wider["Statement"][statement][element] = value
        iam.put_role_policy(**named, PolicyDocument=json.dumps(wider))
        try:
            yield
        finally:
            iam.put_role_policy(**named, PolicyDocument=json.dumps(before))

    return removal


def sparing(*roles: str) -> dict[str, Any]:
    spared = [f"arn:aws:iam::111122223333:role/{name}" for name in (*roles, "s3vpce-runner")]
    return {"ArnNotEquals": {"aws:PrincipalArn": spared}}


def scoped(operator: str, value: str, *, plain: str = "") -> Removal:
    """The statement about tags with another condition."""
    condition: dict[str, Any] = {operator: {"s3:ExistingObjectTag/team": value}}
    if plain:
        condition["Null"] = {"s3:ExistingObjectTag/team": plain}
    else:
        condition["StringNotEquals"] = {"aws:PrincipalTag/team": value}
    condition["ArnEquals"] = {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/scoped"}
    return altered("tagged", "OwnTeamOnly", Condition=condition)


REMOVALS: Final[dict[str, dict[str, Removal]]] = {
    "not-public/private": {
        "block public access": unblocked("private"),
        "nobody is named": unblocked("private", adding("private", allowed("private", "s3:GetObject", "*"))),
        "no stranger is named": adding("private", allowed("private", "s3:ListBucket", {"AWS": "444455556666"})),
    },
    "cross-account/shared": {
        "the place": altered("shared", "PartnerReads", Condition=None),
        "the action": altered("shared", "PartnerReads", Action=["s3:GetObject", "s3:PutObject"]),
        "the principal": altered("shared", "PartnerReads", Principal={"AWS": "444455556666"}),
    },
    "tls-only/modern": {
        "tls": without("modern", "TlsOnly"),
        "the version": without("modern", "ModernTlsOnly"),
    },
    "endpoint-policy-limits/private": {
        "the partner's": endpoint("Resource", ["arn:aws:s3:::every-claim-*", "arn:aws:s3:::theirs-*"]),
        "our own": endpoint("Resource", ["arn:aws:s3:::every-claim-*", "arn:aws:s3:::mine-*"]),
    },
    "separate-duties/duties": {
        "reads": without("duties", "ReadsByOne"),
        "writes": without("duties", "WritesByTheOther"),
    },
    "tag-scoped/tagged": {
        "tags": without("tagged", "OwnTeamOnly"),
        "what has no tag": scoped("StringNotEqualsIfExists", "${aws:PrincipalTag/team}", plain="false"),
    },
    "presigned-bounded/signed": {
        "the endpoint": without("signed", "OnlyThroughTheEndpoint"),
        "the age": without("signed", "TenMinutes"),
    },
    "break-glass/glass": {
        "nobody else": without("glass", "AdministratorsOnly"),
        "the administrators": altered("glass", "AdministratorsOnly", Condition=sparing()),
    },
    "least-privilege/least": {
        "actions": reading(0, "Action", ["s3:GetObject", "s3:DeleteObject"]),
        "keys": reading(0, "Resource", ["arn:aws:s3:::every-claim-least/*", "arn:aws:s3:::every-claim-control/*"]),
        "prefixes": reading(1, "Condition", {"StringLike": {"s3:prefix": "*"}}),
    },
}
"""Of each claim, what its bucket is protected by, and how that is taken away."""
WEAKENINGS: Final[dict[str, Removal]] = {
    "tls-only/modern": altered("modern", "ModernTlsOnly", Resource="arn:aws:s3:::every-claim-modern"),
    "endpoint-policy-limits/private": endpoint("Resource", "*"),
    "separate-duties/duties": altered("duties", "ReadsByOne", Action="s3:GetObject"),
    "tag-scoped/tagged": scoped("StringEquals", "blue"),
    "presigned-bounded/signed": altered(
        "signed", "TenMinutes", Condition={"NumericGreaterThan": {"s3:signatureAge": "1800000"}}
    ),
    "break-glass/glass": altered("glass", "AdministratorsOnly", Condition=sparing("admin", "app")),
}
"""A protection that is there, and not enough."""
FIXES: Final[dict[str, dict[str, str]]] = {
    "not-public/private": {
        "block public access": f"turn {', '.join(ALL_BLOCKS)} on for every-claim-private",
        "nobody is named": "narrow `Added` of the bucket policy of private: it lets anonymous s3:GetObject",
        "no stranger is named": "narrow `Added` of the bucket policy of private",
    },
    "cross-account/shared": {
        "the place": "narrow `PartnerReads` of the bucket policy of shared",
        "the action": "narrow `PartnerReads` of the bucket policy of shared",
        "the principal": "narrow `PartnerReads` of the bucket policy of shared",
    },
    "tls-only/modern": {
        "tls": "add a deny of s3:* to the bucket policy of modern where Bool aws:SecureTransport is false",
        "the version": "add a deny of s3:* to the bucket policy of modern where NumericLessThan s3:TlsVersion 1.3",
    },
    "endpoint-policy-limits/private": {
        "the partner's": "narrow `Allow` of the policy of vpce-",
        "our own": "narrow `Allow` of the policy of vpce-",
    },
    "separate-duties/duties": {
        "reads": "add a deny of s3:GetObject on the bucket and its objects to the bucket policy of duties",
        "writes": "add a deny of s3:PutObject on the bucket and its objects to the bucket policy of duties",
    },
    "tag-scoped/tagged": {
        "tags": "where the object's tag (s3:ExistingObjectTag/...) is another than the caller's",
        "what has no tag": "`OwnTeamOnly`",
    },
    "presigned-bounded/signed": {
        "the endpoint": "add a deny of s3:* on the bucket and its objects to the bucket policy of signed",
        "the age": "add a deny of s3:* to the bucket policy of signed where NumericGreaterThan s3:signatureAge",
    },
    "break-glass/glass": {
        "nobody else": "add a deny of s3:GetBucketPolicy to the bucket policy of glass, ArnNotEquals aws:PrincipalArn",
        "the administrators": "add arn:aws:iam::111122223333:role/admin to aws:PrincipalArn of `AdministratorsOnly`",
    },
    "least-privilege/least": {
        "actions": "narrow `Reads` of the identity policy buckets of reader",
        "keys": "narrow `Reads` of the identity policy buckets of reader",
        "prefixes": "narrow `Lists` of the identity policy buckets of reader",
    },
}
"""How each is mended, which the claim's own explanation says of its first counterexample."""
WEAK: Final[dict[str, str]] = {
    "tls-only/modern": "the deny that should have matched is `ModernTlsOnly`",
    "endpoint-policy-limits/private": "narrow `Allow` of the policy of vpce-",
    "separate-duties/duties": "the deny that should have matched is `ReadsByOne`",
    "tag-scoped/tagged": "the deny that should have matched is `OwnTeamOnly`",
    "presigned-bounded/signed": "the deny that should have matched is `TenMinutes`",
    "break-glass/glass": "the deny that should have matched is `AdministratorsOnly`",
}
"""The statement that is there and not enough, as the explanation names it."""
ROUNDS: Final = max(map(len, REMOVALS.values()))
SOAK: Final = bool(os.environ.get("S3VPCE_SOAK"))


def judged(stage: Stage, *names: str) -> dict[str, ClaimResult]:
    chosen = names or tuple(row.id for row in stage.plan.claims)
    return {row.id: row for row in stage.fresh_operator().run(stage.plan, chosen).claims}


def explained(stage: Stage, *names: str) -> dict[str, ClaimResult]:
    """The same with what decided, as `--s3vpce-predict` adds it."""
    operator = stage.fresh_operator()
    matrix = predicted(operator.run(stage.plan, names), stage.plan.cells, operator)
    assert not [note for note in matrix.notes if "nothing was predicted" in note]
    return {row.id: row for row in matrix.claims}


def test_every_claim_is_proven(every: Stage) -> None:
    found = judged(every)
    assert {row.id: row.sentence for row in found.values() if row.verdict != "proven"} == {}
    assert set(found) == set(REMOVALS)
    assert found["tag-scoped/tagged"].coverage.keys == ("objects/1", "objects/2", "objects/3")
    assert found["not-public/private"].coverage.keys == (".s3vpce/canary",)
    gaps = "; ".join(found["least-privilege/least"].coverage.gaps)
    assert "no form of theirs changes nothing: DeleteBucket" in gaps
    glass = found["break-glass/glass"]
    assert not [gap for gap in glass.coverage.gaps if "DeleteBucketPolicy" in gap]
    assert "the policy of glass reads as it did, byte for byte" in [row.sentence for row in glass.evidence]


@pytest.mark.skipif(not SOAK, reason="a run that waits for answers that do not come: `make soak`")
def test_nothing_is_proven_where_nothing_is_reached(every: Stage) -> None:
    with every.unrouted():
        found = judged(every)
    assert {row.id for row in found.values() if row.verdict == "proven"} == set()
    ledger = Ledger(every.operator._folder.ledger)
    unanswered = [row for row in ledger.open_entries() if row.kind is Kind.BUCKET_POLICY]
    assert all("was not answered, and may still arrive" in (row.kept or "") for row in unanswered)
    for row in unanswered:  # none can: nothing was reached
        ledger.removed(row)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_without_any_one_protection_it_is_refuted(every: Stage, number: int) -> None:
    chosen = {name: list(rows.items())[number] for name, rows in REMOVALS.items() if number < len(rows)}
    with ExitStack() as stack:
        for _, removal in chosen.values():
            stack.enter_context(removal(every))
        found = explained(every, *chosen)
    standing = {(name, chosen[name][0]): row.sentence for name, row in found.items() if row.verdict != "refuted"}
    assert standing == {}
    assert len(found) == len(chosen)
    fixes = {name: [*(one.predicted.fix for one in row.explanations), *row.fixes] for name, row in found.items()}
    assert {name: rows for name, rows in fixes.items() if not rows or not all(rows)} == {}
    assert {name: row.look_at for name, row in found.items() if not row.look_at or "names the" in row.look_at} == {}
    wanted = {name: FIXES[name][chosen[name][0]] for name in found}
    assert {name: (fixes[name], said) for name, said in wanted.items() if said not in "".join(fixes[name][:1])} == {}


def test_a_weak_protection_is_none_and_named_with_why_it_did_not_match(every: Stage) -> None:
    with ExitStack() as stack:
        for removal in WEAKENINGS.values():
            stack.enter_context(removal(every))
        found = explained(every, *WEAKENINGS)
    assert {row.id: row.sentence for row in found.values() if row.verdict != "refuted"} == {}
    assert [one.cells for row in found.values() for one in row.explanations if not one.predicted.fix] == []
    told = {name: "\n".join(row.explanations[0].predicted.explanation) for name, row in found.items()}
    assert {name: told[name] for name, said in WEAK.items() if said not in told[name]} == {}


# --- policies that are really deleted --------------------------------------------------------------------------------

GLASS: Final = "break-glass/glass"
GLASS_BUCKET: Final = NAME.format("glass")


def text_of(stage: Stage) -> str | None:
    return policies.read(stage.client("s3"), GLASS_BUCKET)


def left(stage: Stage) -> list[str | None]:
    """Why what was deleted may not be back."""
    entries = Ledger(stage.operator._folder.ledger).open_entries()
    return [entry.kept for entry in entries if entry.kind is Kind.BUCKET_POLICY]


def deny_of_policy(stage: Stage, action: str, *spared: str) -> dict[str, Any]:
    roles = [*(stage.outputs[name] for name in spared), "arn:aws:iam::111122223333:role/s3vpce-runner"]
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": f"s3:{action}BucketPolicy",
        "Resource": f"arn:aws:s3:::{GLASS_BUCKET}",
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": roles}},
    }


@contextmanager
def policy_sparing(stage: Stage, **spared: tuple[str, ...]) -> Iterator[str]:
    """A policy that spares these roles, and the administrator where nothing is said."""
    s3, before = stage.client("s3"), text_of(stage)
    rows = [deny_of_policy(stage, action, *spared.get(action, ("AdminRole",))) for action in ("Get", "Put", "Delete")]
    odd = json.dumps({"Version": "2012-10-17", "Statement": rows}, indent=3) + "\n"
    s3.put_bucket_policy(Bucket=GLASS_BUCKET, Policy=odd)
    try:
        yield odd
    finally:
        s3.put_bucket_policy(Bucket=GLASS_BUCKET, Policy=before)


def test_it_is_back_byte_for_byte(every: Stage) -> None:
    with policy_sparing(every) as odd:
        found = judged(every, GLASS)[GLASS]
        assert found.verdict == "proven", found.sentence
        assert text_of(every) == odd
    assert left(every) == []


def test_another_who_may_delete_it_refutes_and_it_is_back(every: Stage) -> None:
    with policy_sparing(every, Delete=("AdminRole", "AppRole")) as odd:
        found = judged(every, GLASS)[GLASS]
        assert text_of(every) == odd
    assert found.verdict == "refuted"
    assert "DeleteBucketPolicy by app:app-subnet on glass" not in found.sentence
    assert "DeleteBucketPolicy by app:app-subnet over https must be denied but was allowed" in found.sentence
    assert left(every) == []


def test_an_administrator_who_may_not_delete_it_refutes(every: Stage) -> None:
    with policy_sparing(every, Delete=()):
        found = judged(every, GLASS)[GLASS]
    assert found.verdict == "refuted"
    assert "DeleteBucketPolicy by admin:internet must be allowed but was denied by resource" in found.sentence


def interrupting(times: list[str]) -> Callable[..., str | None]:
    """Puts back once, to show that it can, and is killed where it should do so again."""
    real = policies.put_back

    def put_back(*given: Any, **named: Any) -> str | None:
        times.append("put")
        if len(times) > 1:
            raise KeyboardInterrupt
        return real(*given, **named)

    return put_back


def test_what_a_run_leaves_that_dies_meanwhile_is_put_back_by_a_sweep(
    every: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, times = text_of(every), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(policies, "put_back", interrupting(times))
        with pytest.raises(KeyboardInterrupt):
            judged(every, GLASS)
    assert text_of(every) is None
    assert left(every) == [None]
    (entry,) = [row for row in Ledger(every.operator._folder.ledger).open_entries() if row.kind is Kind.BUCKET_POLICY]
    path = every.root / ".s3vpce" / "run-dead"
    path.mkdir()
    Ledger(RunFolder(path).ledger).creating(
        entry.kind, account=entry.account, region=entry.region, identifier=entry.identifier, content=entry.content
    )
    assert sweep_folder(path, every.inventory, notify=lambda _: None, environment=every.environment) == []
    assert text_of(every) == before
    Ledger(every.operator._folder.ledger).removed(entry)
