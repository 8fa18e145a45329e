"""What S3 asks of KMS for its callers: the key of an object, and whether they may use it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_forward_access_sessions.html
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
from pytest_s3vpce.operations.creations import CREATIONS, DECRYPTING, KEYS_OF_PARTS, MANAGED, WITH_KMS

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A KMS key; `managed` is the one of AWS's own that an account's S3 uses where no other is named."""

    arn: str
    account: str
    policy: str | None
    state: str
    managed: bool = False


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
        ask = partial(self._ask, caller, resource=subject.resource, region=bucket.region, context=context)
        if action in DECRYPTING and subject.key is not None:
            ask(self._of_object(bucket, subject.key, subject.version), "kms:Decrypt")
        elif action == "s3:PutObject" and asked.name in CREATIONS:
            ask(self._of_write(asked, bucket, caller), "kms:GenerateDataKey")
        elif asked.name in KEYS_OF_PARTS:
            held = self._of_upload(asked, bucket)
            for needed in KEYS_OF_PARTS[asked.name]:
                ask(held, needed)

    def settle(self, asked: S3Request, bucket: BucketState, caller: Caller, answer: HttpResponse) -> HttpResponse:
        """Keep the ARN of the key that what was made is under, and tell it: aliases move, and ids are an account's."""
        key = self._of_write(asked, bucket, caller) if asked.name in CREATIONS else None
        if key is None:
            return answer
        found = made(self._state, asked, bucket, answer)
        if found is not None:
            found.kms_key_id = key.arn
        left = [pair for pair in answer.headers if pair[0].lower() != _TOLD]
        return replace(answer, headers=(*left, (_TOLD, key.arn)))

    def _of_object(self, bucket: BucketState, key: str, version: str | None) -> Key | None:
        found = self._state.stored(bucket.name, key, version)
        if getattr(found, "encryption", None) not in WITH_KMS:
            return None
        return self._key(found.kms_key_id, account=bucket.account, region=bucket.region)

    def _of_write(self, asked: S3Request, bucket: BucketState, caller: Caller) -> Key | None:
        """The key that the request names, else the bucket's: an id alone is the caller's, or the bucket owner's.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-kms-encryption.html
        """
        if "SSECustomerAlgorithm" in asked.parameters:
            return None
        sent, named = asked.parameters.get("ServerSideEncryption"), asked.parameters.get("SSEKMSKeyId")
        if sent is not None:
            account = caller.account if named is not None else bucket.account
            return self._key(named, account=account or "", region=bucket.region) if sent in WITH_KMS else None
        return self._of_bucket(bucket, caller)

    def _of_upload(self, asked: S3Request, bucket: BucketState) -> Key | None:
        upload = upload_of(self._state, asked, bucket)
        if upload is None or upload.sse_encryption not in WITH_KMS:
            return None
        return self._key(upload.kms_key_id, account=bucket.account, region=bucket.region)

    def _of_bucket(self, bucket: BucketState, caller: Caller) -> Key | None:
        """An alias alone is the caller's.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html
        """
        rule = ((self._state.stored(bucket.name).encryption or {}).get("Rule") or {}).get(
            "ApplyServerSideEncryptionByDefault", {}
        )
        if rule.get("SSEAlgorithm") not in WITH_KMS:
            return None
        named = rule.get("KMSMasterKeyID")
        account = caller.account if (named or "").startswith("alias/") else None
        return self._key(named, account=account or bucket.account, region=bucket.region)

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
        resource: str,
        region: str,
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
            context=_kms_keys(context, caller, resource=resource, region=region),
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


def _kms_keys(context: Mapping[str, Any], caller: Caller, *, resource: str, region: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html"""
    kept = {key: value for key, value in context.items() if not key.startswith(("s3:", *_NETWORK))}
    return {
        **kept,
        "aws:ViaAWSService": "true",
        "aws:CalledVia": (_S3,),
        "aws:CalledViaFirst": _S3,
        "aws:CalledViaLast": _S3,
        "kms:ViaService": f"s3.{region}.amazonaws.com",
        "kms:CallerAccount": caller.account or "anonymous",
        "kms:EncryptionContext:aws:s3:arn": resource,
        "kms:EncryptionContextKeys": ("aws:s3:arn",),
    }
