"""Keys by an alias, which is of whoever writes.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html
"""

from __future__ import annotations

from dataclasses import replace

from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.snapshot.state import EncryptionRow, KeyRow
from tests.unit.predictions import OTHER, OWNER, REGION, cell, policy, predict, snapshot, statement


def test_a_default_alias_is_the_callers() -> None:
    everybody = policy(statement("Allow", Action="kms:*", Resource="*"), name="key policy")
    arn = f"arn:aws:kms:{REGION}:{OWNER}:key/1"
    row = KeyRow(named="alias/k", arn=arn, account=OWNER, policy=everybody)
    open_ = statement("Allow", sid="Open", Principal={"AWS": OTHER})
    found = replace(snapshot(open_, encryption=EncryptionRow(algorithm="aws:kms", key="alias/k")), keys=(row,))
    assert predict(found, cell("PutObject")).expected is Expected.ALLOW
    theirs = predict(found, cell("PutObject", who="partner:known"))
    why = f"the key that encrypts the object: key `alias/k` of account {OTHER} was not read"
    assert (theirs.expected, theirs.why) == (Expected.UNKNOWN, why)


def test_the_callers_account_has_an_alias_of_that_name_too() -> None:
    ours, theirs = (
        policy(statement("Allow", Action="kms:*", Resource="*", Principal={"AWS": whose}), name="key policy")
        for whose in (OWNER, OTHER)
    )
    rows = tuple(
        KeyRow(named="alias/k", arn=f"arn:aws:kms:{REGION}:{account}:key/{account}", account=account, policy=document)
        for account, document in ((OWNER, ours), (OTHER, theirs))
    )
    open_ = statement("Allow", sid="Open", Principal={"AWS": OTHER})
    by_default = replace(snapshot(open_, encryption=EncryptionRow(algorithm="aws:kms", key="alias/k")), keys=rows)
    named = replace(snapshot(open_), keys=rows)
    asked = {"parameters": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/k"}, "variant": "k"}
    for found, more in ((by_default, {}), (named, asked)):
        for who in ("app:known", "partner:known"):
            assert predict(found, cell("PutObject", who=who, **more)).expected is Expected.ALLOW
        without = replace(found, keys=rows[:1])
        assert predict(without, cell("PutObject", who="partner:known", **more)).expected is Expected.UNKNOWN
    assert predict(replace(by_default, keys=()), cell("PutObject")).expected is Expected.UNKNOWN


def test_awss_own_key_by_its_alias_is_the_callers() -> None:
    open_ = statement("Allow", sid="Open", Principal={"AWS": OTHER})
    found = snapshot(open_, encryption=EncryptionRow(algorithm="aws:kms", key="alias/aws/s3"))
    for who in ("app:known", "partner:known"):
        assert predict(found, cell("PutObject", who=who)).expected is Expected.ALLOW
    unnamed = snapshot(open_, encryption=EncryptionRow(algorithm="aws:kms"))
    assert predict(unnamed, cell("PutObject", who="partner:known")).expected is Expected.IMPLICIT_DENY


def test_an_alias_is_one_of_the_buckets_region() -> None:
    everybody = policy(statement("Allow", Action="kms:*", Resource="*"), name="key policy")
    there, here = (
        KeyRow(named="alias/k", arn=f"arn:aws:kms:{region}:{OWNER}:key/1", account=OWNER, policy=document)
        for region, document in (("ap-south-1", policy(name="key policy")), (REGION, everybody))
    )
    found = snapshot(encryption=EncryptionRow(algorithm="aws:kms", key="alias/k"))
    assert predict(replace(found, keys=(there, here)), cell("PutObject")).expected is Expected.ALLOW
    assert predict(replace(found, keys=(there,)), cell("PutObject")).expected is Expected.UNKNOWN
