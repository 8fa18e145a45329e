"""What S3 asks of KMS for its callers: the key of an object, and whether they may use it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_forward_access_sessions.html

Under an S3 Bucket Key, S3 asks at least once for each caller and for a while need not ask again, whatever the key's
policy says by then: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html. Here it always asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.authorization import ALGORITHM
from pytest_s3vpce.lab.denials import kms_denial
from pytest_s3vpce.lab.judge import Question
from pytest_s3vpce.lab.refused import Refused
from pytest_s3vpce.lab.resources import partition_of
from pytest_s3vpce.lab.s3answers import made, upload_of
from pytest_s3vpce.lab.s3words import invalid_argument
from pytest_s3vpce.operations.creations import (
    CREATIONS,
    DECRYPTING,
    KEYS_OF_PARTS,
    MANAGED,
    WITH_BUCKET_KEYS,
    WITH_KMS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_s3vpce.lab.judge import Judge
    from pytest_s3vpce.lab.keys import Caller
    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.s3requests import S3Request
    from pytest_s3vpce.lab.s3subject import Subject
    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpResponse

_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<name>(?:key|alias)/.+)", re.ASCII
)
_NETWORK: Final = ("aws:SourceVpc", "aws:SourceVpce", "aws:SourceVpcArn", "aws:VpcSourceIp", "aws:Vpce")
"""Not kept where S3 asks for somebody: its call does not come through the caller's endpoint."""
_S3: Final = "s3.amazonaws.com"
_TOLD: Final = "x-amz-server-side-encryption-aws-kms-key-id"
_BUCKET_KEY_TOLD: Final = "x-amz-server-side-encryption-bucket-key-enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A KMS key; `managed` is the one of AWS's own that an account's S3 uses where no other is named."""

    arn: str
    account: str
    policy: str | None
    state: str
    managed: bool = False
    bucket_key: bool = False
    """Whether an S3 Bucket Key stands between it and the object."""


class Kms:
    """One instance serves all accounts."""

    def __init__(self, state: State, judge: Judge) -> None:
        self._state = state
        self._judge = judge

    def require(
        self, caller: Caller, asked: S3Request, subject: Subject, *, action: str, context: Mapping[str, Any]
    ) -> None:
        """Raises S3's words where the caller may not use the key that this check leads to, if to any."""
        bucket = subject.owned.bucket
        assert bucket is not None  # what is in no bucket is under no key
        ask = partial(self._ask, caller, bucket=bucket, resource=subject.resource, context=context)
        if action in DECRYPTING and subject.key is not None:
            ask(self._of_object(bucket, subject.key, subject.version), "kms:Decrypt")
        elif action == "s3:PutObject" and asked.name in CREATIONS:
            ask(self._of_write(asked, bucket, caller), "kms:GenerateDataKey")
        elif asked.name in KEYS_OF_PARTS:
            held = self._of_upload(asked, bucket)
            for needed in KEYS_OF_PARTS[asked.name]:
                ask(held, needed)

    def settle(
        self, asked: S3Request, bucket: BucketState, caller: Caller, answer: HttpResponse, *, upload: Any
    ) -> HttpResponse:
        """Keep the ARN of the key that what was made is under, and tell it: aliases move, and ids are an account's.

        What is made of parts is as its upload was begun.
        """
        if asked.name == "CompleteMultipartUpload":
            found = made(self._state, asked, bucket, answer)
            if found is not None:
                found.bucket_key_enabled = getattr(upload, "bucket_key_enabled", None)
            return answer
        key = self._of_write(asked, bucket, caller) if asked.name in CREATIONS else None
        if key is None:
            return answer
        told = {_TOLD: key.arn, **({_BUCKET_KEY_TOLD: "true"} if key.bucket_key else {})}
        found = made(self._state, asked, bucket, answer)
        if found is not None:
            found.kms_key_id, found.bucket_key_enabled = key.arn, told.get(_BUCKET_KEY_TOLD)
        left = [pair for pair in answer.headers if pair[0].lower() not in {_TOLD, _BUCKET_KEY_TOLD}]
        return replace(answer, headers=(*left, *told.items()))

    def _of_object(self, bucket: BucketState, key: str, version: str | None) -> Key | None:
        found = self._state.stored(bucket.name, key, version)
        if getattr(found, "encryption", None) not in WITH_KMS:
            return None
        return self._kept(found, bucket)

    def _of_write(self, asked: S3Request, bucket: BucketState, caller: Caller) -> Key | None:
        """The key that the request names, else the bucket's: an id alone is the caller's, or the bucket owner's.

        An alias alone is the caller's. A request that says nothing of S3 Bucket Keys is as the bucket says, whatever
        key it names: https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-kms-encryption.html and
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html
        """
        if "SSECustomerAlgorithm" in asked.parameters:
            return None
        rule = self._state.stored(bucket.name).encryption["Rule"]
        default = rule["ApplyServerSideEncryptionByDefault"]
        sent, named = asked.parameters.get("ServerSideEncryption"), asked.parameters.get("SSEKMSKeyId")
        account = caller.account if named is not None else None
        if sent is None:
            named = default.get("KMSMasterKeyID")
            account = caller.account if (named or "").startswith("alias/") else None
        method = sent or default["SSEAlgorithm"]
        if method not in WITH_KMS:
            return None
        key = self._key(named, account=account or bucket.account, region=bucket.region)
        wanted = asked.parameters.get("BucketKeyEnabled", rule["BucketKeyEnabled"])
        return replace(key, bucket_key=method in WITH_BUCKET_KEYS and _is_true(wanted))

    def _of_upload(self, asked: S3Request, bucket: BucketState) -> Key | None:
        upload = upload_of(self._state, asked, bucket)
        if upload is None or upload.sse_encryption not in WITH_KMS:
            return None
        return self._kept(upload, bucket)

    def _kept(self, found: Any, bucket: BucketState) -> Key:
        """The key of an object, or of the upload that is to become one."""
        key = self._key(found.kms_key_id, account=bucket.account, region=bucket.region)
        return replace(key, bucket_key=_is_true(getattr(found, "bucket_key_enabled", None)))

    def _key(self, named: str | None, *, account: str, region: str) -> Key:
        arn = _ARN.fullmatch(named or "")
        if arn is not None:
            account, place, name = arn["account"], arn["region"], arn["name"].removeprefix("key/")
        else:
            place, name = region, named or MANAGED
        backends = self._state.backends("kms")
        found = None
        if name != MANAGED and place == region and account in backends:
            backend = backends[account][region]
            found = backend.keys.get(backend.get_key_id_from_alias(name) if name.startswith("alias/") else name)
        if found is not None:
            return Key(arn=found.arn, account=account, policy=found.policy, state=found.key_state)
        shown = (
            named
            if arn is not None
            else f"arn:{partition_of(region)}:kms:{region}:{account}:{name if name[:6] == 'alias/' else f'key/{name}'}"
        )
        if name != MANAGED:
            raise Refused("KMS.NotFoundException", status=400, message=f"Key '{shown}' does not exist")
        return Key(arn=shown or "", account=account, policy=None, state="Enabled", managed=True)

    def _ask(
        self,
        caller: Caller,
        key: Key | None,
        action: str,
        *,
        bucket: BucketState,
        resource: str,
        context: Mapping[str, Any],
    ) -> None:
        if key is None:
            return
        if context.get("s3:signatureversion") != ALGORITHM:
            message = (
                "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4."
            )
            raise invalid_argument(message)
        if key.managed:
            if caller.account != key.account:
                raise kms_denial(None, caller=caller, action=action, resource=key.arn)
            return
        question = Question(
            action=action,
            resource=key.arn,
            owner=key.account,
            resource_policy=key.policy,
            context=_kms_keys(
                context,
                caller,
                encrypted=f"arn:{partition_of(bucket.region)}:s3:::{bucket.name}" if key.bucket_key else resource,
                region=bucket.region,
            ),
        )
        decision = self._judge.decide(caller, question)
        if not decision.allowed:
            raise kms_denial(decision, caller=caller, action=action, resource=key.arn)
        if key.state != "Enabled":
            code = "KMS.DisabledException" if key.state == "Disabled" else "KMS.KMSInvalidStateException"
            words = "is disabled." if key.state == "Disabled" else "is pending deletion."
            raise Refused(code, status=400, message=f"{key.arn} {words}")


def key_policy(state: State, arn: str) -> str | None:
    """The policy of the key that an ARN names: in KMS nobody may do anything that it does not let in.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
    """
    named = _ARN.fullmatch(arn)
    backends = state.backends("kms")
    if named is None or named["account"] not in backends:
        return None
    found = backends[named["account"]][named["region"]].keys.get(named["name"].removeprefix("key/"))
    return None if found is None else str(found.policy)


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"


def _kms_keys(context: Mapping[str, Any], caller: Caller, *, encrypted: str, region: str) -> dict[str, Any]:
    """`encrypted` is the object, or the bucket of an S3 Bucket Key.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html and
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#encryption-context
    """
    kept = {key: value for key, value in context.items() if not key.startswith(("s3:", *_NETWORK))}
    return {
        **kept,
        "aws:ViaAWSService": "true",
        "aws:CalledVia": (_S3,),
        "aws:CalledViaFirst": _S3,
        "aws:CalledViaLast": _S3,
        "kms:ViaService": f"s3.{region}.amazonaws.com",
        "kms:CallerAccount": caller.account or "anonymous",
        "kms:EncryptionContext:aws:s3:arn": encrypted,
        "kms:EncryptionContextKeys": ("aws:s3:arn",),
    }
