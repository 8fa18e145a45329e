"""A bucket's default encryption by an alias: the alias is of whoever writes."""

from __future__ import annotations

from dataclasses import replace

from pytest_s3vpce.matrix import Expected
from pytest_s3vpce.snapshot.state import EncryptionRow, KeyRow
from tests.unit.predictions import OTHER, OWNER, cell, policy, predict, snapshot, statement


def test_a_default_alias_is_the_callers() -> None:
    everybody = policy(statement("Allow", Action="kms:*", Resource="*"), name="key policy")
    arn = f"arn:aws:kms:eu-west-1:{OWNER}:key/1"
    row = KeyRow(named="alias/k", arn=arn, account=OWNER, policy=everybody)
    open_ = statement("Allow", sid="Open", Principal={"AWS": OTHER})
    found = replace(snapshot(open_, encryption=EncryptionRow(algorithm="aws:kms", key="alias/k")), keys=(row,))
    assert predict(found, cell("PutObject")).expected is Expected.ALLOW
    theirs = predict(found, cell("PutObject", who="partner:known"))
    why = "the key that encrypts the object: `alias/k` stands for a key of the caller's account, which was not read"
    assert (theirs.expected, theirs.why) == (Expected.UNKNOWN, why)
