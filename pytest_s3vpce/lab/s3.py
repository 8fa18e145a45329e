"""S3 as the lab serves it: every request authorised by the one engine, then answered by the state behind."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from pytest_s3vpce.lab import s3checks
from pytest_s3vpce.lab.denials import PLAIN, s3_denial
from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.s3context import request_keys, s3_keys
from pytest_s3vpce.lab.s3requests import parse
from pytest_s3vpce.lab.signatures import Verified
from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse
from pytest_s3vpce.operations import OPERATIONS, Check, Resource, checks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.signatures import Anonymous
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.network.path import Path

_POLICY_OPERATIONS: Final = frozenset({"GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"})
"""What the owner's root user may always do, whatever the bucket's policy says.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"""
_ANY_REGION: Final = frozenset({"CreateBucket", "ListBuckets", "GetBucketLocation", "HeadBucket"})
_XML: Final = re.compile(r"\{[^}]*\}")
# What S3 gives a new bucket since 2023: https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption-faq.html
_DEFAULTS: Final[Mapping[str, str]] = {
    "publicAccessBlock": "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>"
    "<IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>"
    "<RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>",
    "encryption": "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
    "<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
    "<BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>",
}
_ENFORCED: Final[Mapping[str, str]] = {
    "ownershipControls": "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"
    "</OwnershipControls>"
}


class S3:
    """One instance serves all accounts."""

    def __init__(self, state: State, judge: Judge) -> None:
        self._state = state
        self._judge = judge

    def handle(
        self,
        request: HttpRequest,
        caller: Caller,
        verified: Verified | Anonymous,
        *,
        path: Path,
        now: datetime,
        note: dict[str, Any],
    ) -> HttpResponse:
        """The answer; Refused where S3 refuses. `note` takes what the request log says of it."""
        asked = parse(request)
        if asked.row is None:
            raise Refused("NotImplemented", status=501, message="The lab has no such operation of s3.")
        note.update(operation=asked.row.name, bucket=asked.bucket, key=asked.key)
        region = verified.region if isinstance(verified, Verified) else "us-east-1"
        if asked.bucket is None or asked.row.name == "CreateBucket":
            return self._unowned(request, asked, caller, verified, path=path, region=region, now=now, note=note)
        bucket = self._state.bucket(asked.bucket)
        if bucket is None:
            raise Refused(
                "NoSuchBucket",
                status=404,
                message="The specified bucket does not exist",
                details=(("BucketName", asked.bucket),),
            )
        _check_region(asked, bucket, verified)
        context = {**request_keys(request, path, region=bucket.region, now=now), **s3_keys(request, asked, verified)}
        trial = _Trial(self._state, self._judge, caller, path=path, context=context, note=note)
        if asked.row.name == "DeleteObjects":
            return self._delete_objects(request, asked, bucket, trial)
        trial.authorise(asked, bucket)
        _check_owner(asked, bucket)
        if asked.row.name in s3checks.NEEDS_OBJECT and asked.key is not None:
            version = asked.parameters.get("VersionId")
            if not self._state.object_exists(bucket.name, asked.key, version):
                trial.require(Check("s3:ListBucket", Resource.BUCKET), asked, bucket)
        s3checks.check(self._state, request, asked, bucket)
        answer = self._state.call("s3", request, account=bucket.account, region=bucket.region, target=asked.target)
        if asked.row.name == "HeadBucket":
            answer = replace(answer, headers=(*answer.headers, ("x-amz-bucket-region", bucket.region)))
        return answer

    def _unowned(
        self,
        request: HttpRequest,
        asked: S3Request,
        caller: Caller,
        verified: Verified | Anonymous,
        *,
        path: Path,
        region: str,
        now: datetime,
        note: dict[str, Any],
    ) -> HttpResponse:
        """Requests without a bucket that exists: ListBuckets and CreateBucket, in the caller's own account."""
        if caller.account is None:
            raise Refused("AccessDenied", status=403, message=PLAIN)
        owner = BucketLike(asked.bucket or "*", caller.account)
        context = {**request_keys(request, path, region=region, now=now), **s3_keys(request, asked, verified)}
        trial = _Trial(self._state, self._judge, caller, path=path, context=context, note=note)
        trial.authorise(asked, owner)
        taken = self._state.bucket(asked.bucket) if asked.bucket else None
        if taken is not None and taken.account != caller.account:
            message = "The requested bucket name is not available. The bucket namespace is shared by all users."
            raise Refused("BucketAlreadyExists", status=409, message=message)
        answer = self._state.call("s3", request, account=caller.account, region=region, target=asked.target)
        if asked.bucket is not None and answer.status == 200 and taken is None:
            self._modernise(request, asked, account=caller.account, region=region)
        return answer

    def _modernise(self, request: HttpRequest, asked: S3Request, *, account: str, region: str) -> None:
        """Block Public Access on, ACLs off, default encryption: what a new bucket has on AWS."""
        given = "ObjectOwnership" in asked.parameters
        for name, body in (_DEFAULTS if given else {**_DEFAULTS, **_ENFORCED}).items():
            plain = replace(request, method="PUT", headers=(("content-type", "application/xml"),), body=body.encode())
            self._state.call("s3", plain, account=account, region=region, target=f"/{asked.bucket}?{name}")

    def _delete_objects(
        self, request: HttpRequest, asked: S3Request, bucket: BucketState, trial: _Trial
    ) -> HttpResponse:
        """Each key is decided on its own, and refused on its own inside of a 200.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
        """
        s3checks.check(self._state, request, asked, bucket)
        root = _parsed(request.body)
        refused = []
        for entry in [child for child in root if _name(child) == "Object"]:
            fields = {_name(child): child.text or "" for child in entry}
            one = replace(
                asked,
                row=OPERATIONS["DeleteObject"],
                key=fields.get("Key", ""),
                parameters={"VersionId": fields["VersionId"]} if "VersionId" in fields else {},
            )
            try:
                trial.authorise(one, bucket)
            except Refused as denial:
                root.remove(entry)
                refused.append((fields.get("Key", ""), denial))
        body = ET.tostring(root)
        left = any(_name(child) == "Object" for child in root)
        headers = {"content-md5": None, "x-amz-checksum-crc32": None, "x-amz-sdk-checksum-algorithm": None}
        answer = (
            self._state.call(
                "s3",
                request,
                account=bucket.account,
                region=bucket.region,
                target=asked.target,
                body=body,
                headers=headers,
            )
            if left
            else HttpResponse(
                status=200,
                headers=(("Content-Type", "application/xml"),),
                body=b'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>',
            )
        )
        errors = "".join(
            f"<Error><Key>{escape(key)}</Key><Code>{denial.code}</Code><Message>{escape(denial.message)}</Message></Error>"
            for key, denial in refused
        )
        return replace(answer, body=answer.body.replace(b"</DeleteResult>", f"{errors}</DeleteResult>".encode()))


class BucketLike:
    """What a check on a bucket that does not exist yet needs."""

    policy: str | None = None

    def __init__(self, name: str, account: str) -> None:
        self.name = name
        self.account = account


class _Trial:
    """One request before the judge: every check that its operation needs, the first denial ends it."""

    def __init__(
        self,
        state: State,
        judge: Judge,
        caller: Caller,
        *,
        path: Path,
        context: Mapping[str, Any],
        note: dict[str, Any],
    ) -> None:
        self._state = state
        self._judge = judge
        self._caller = caller
        self._path = path
        self._context = context
        self._note = note

    def authorise(self, asked: S3Request, bucket: BucketState | BucketLike) -> None:
        assert asked.row is not None
        for check in checks(asked.row, asked.parameters):
            self.require(check, asked, bucket)

    def require(self, check: Check, asked: S3Request, bucket: BucketState | BucketLike) -> None:
        """Raises S3's 403 unless the check is allowed."""
        assert asked.row is not None
        owner, resource = bucket, f"arn:aws:s3:::{bucket.name}"
        if check.resource is Resource.NONE:
            resource = "*"
        elif check.resource is Resource.OBJECT:
            resource = f"{resource}/{asked.key}"
        elif check.resource is Resource.SOURCE:
            name, key = s3checks.copy_source(asked)
            found = self._state.bucket(name)
            if found is None:
                raise Refused("NoSuchBucket", status=404, message="The specified bucket does not exist")
            owner, resource = found, f"arn:aws:s3:::{name}/{key}"
        policy = owner.policy
        if self._caller.is_root and self._caller.account == owner.account and asked.row.name in _POLICY_OPERATIONS:
            policy = None
        question = Question(
            action=check.action,
            resource=resource,
            owner=owner.account,
            resource_policy=policy,
            endpoint=self._path.endpoint,
            context=self._context,
        )
        decision = self._judge.decide(self._caller, question)
        self._note.update(
            action=check.action, decision=decision.effect.value, layer=decision.layer, reason=decision.reason
        )
        if not decision.allowed:
            raise s3_denial(decision, caller=self._caller, action=check.action, resource=resource, owner=owner.account)


def _check_region(asked: S3Request, bucket: BucketState, verified: Verified | Anonymous) -> None:
    """A request that was sent to, or signed for, another Region than the bucket's."""
    assert asked.row is not None
    if asked.row.name in _ANY_REGION:
        return
    if asked.host_region is not None and asked.host_region != bucket.region:
        raise Refused(
            "PermanentRedirect",
            status=301,
            message="The bucket you are attempting to access must be addressed using the specified endpoint. Please "
            "send all future requests to this endpoint.",
            details=(("Endpoint", f"{bucket.name}.s3.{bucket.region}.amazonaws.com"), ("Bucket", bucket.name)),
        )
    if isinstance(verified, Verified) and verified.region != bucket.region:
        raise Refused(
            "AuthorizationHeaderMalformed",
            status=400,
            message=f"The authorization header is malformed; the region '{verified.region}' is wrong; expecting "
            f"'{bucket.region}'",
            details=(("Region", bucket.region),),
        )


def _check_owner(asked: S3Request, bucket: BucketState) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html"""
    wanted = asked.parameters.get("ExpectedBucketOwner")
    if wanted is not None and wanted != bucket.account:
        raise Refused("AccessDenied", status=403, message=PLAIN)


def _parsed(body: bytes) -> ET.Element:
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise _malformed()
    try:
        return ET.fromstring(body)  # noqa: S314 - document types are refused above, so nothing expands
    except ET.ParseError as error:
        raise _malformed() from error


def _malformed() -> Refused:
    message = "The XML you provided was not well-formed or did not validate against our published schema"
    return Refused("MalformedXML", status=400, message=message)


def _name(element: ET.Element) -> str:
    return _XML.sub("", element.tag)
