"""Whether the account state still is read rightly after an upgrade: checked at start, in an account of its own."""

from __future__ import annotations

import base64
import io
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab import accesspoints
from pytest_s3vpce.lab.acls import acl_for
from pytest_s3vpce.lab.resources import RUNNER
from pytest_s3vpce.policy.acl import AclGrant

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_s3vpce.lab.resources import BucketState
    from pytest_s3vpce.lab.state import State

ACCOUNT = "000000000000"
REGION = "us-east-1"
_BUCKET = "s3vpce-self-check"


def self_check(state: State) -> list[str]:
    """What would be read wrongly; nothing as long as all is well."""
    found = []
    for name, check in _CHECKS.items():
        try:
            wrong = [part for part, right in check(state).items() if not right]
        except Exception as failure:  # noqa: BLE001 - whatever an upgrade breaks is to be named
            wrong = [f"{type(failure).__name__}: {failure}"]
        found += [f"{name}: {part}" for part in wrong]
    return found


def _principals(state: State) -> dict[str, bool]:
    state.backends("iam").pop(ACCOUNT, None)  # of an earlier check in this process
    keys = state.make_account(ACCOUNT, REGION)
    key = state.access_key(keys.access_key_id)
    role = state.role(keys.role)
    policies = dict(state.identity_policies(keys.role) or ())
    text = policies.get("arn:aws:iam::aws:policy/AdministratorAccess", "")
    return {
        "access keys": key is not None and key.secret == keys.secret_access_key and key.account == ACCOUNT,
        "roles": role is not None and role.name == RUNNER and "sts:AssumeRole" in role.trust_policy,
        "managed policies": '"*"' in text,
        "inline policies": bool(key and state.identity_policies(key.user_arn)),
        "boundaries": state.boundary(keys.role) is None,
    }


def _buckets(state: State) -> dict[str, bool]:
    backend = state.backends("s3")[ACCOUNT]["aws"]
    made = backend.create_bucket(_BUCKET, REGION)
    try:
        bucket = state.bucket(_BUCKET)
        backend.put_object(_BUCKET, "key", b"x")
        upload = backend.create_multipart_upload(
            bucket_name=_BUCKET,
            key_name="big",
            metadata={},
            storage_type="STANDARD",
            tags={},
            acl=None,
            sse_encryption=None,
            kms_key_id=None,
        )
        return {
            "owner": bucket is not None and bucket.account == ACCOUNT,
            "defaults": bucket is not None
            and bucket.ownership == "BucketOwnerEnforced"
            and bucket.public_access_block is not None
            and bucket.public_access_block.block_public_policy,
            "no policy check of its own": made.get_permission("s3:GetObject", "*").name == "PERMITTED",
            "objects": state.object_exists(_BUCKET, "key") and not state.object_exists(_BUCKET, "other"),
            "uploads": state.upload_exists(_BUCKET, "big", upload.id),
            "account block": state.account_public_access_block(ACCOUNT, REGION) is None,
            **_details(state, bucket, upload),
        }
    finally:
        backend.buckets.pop(_BUCKET, None)
        state.backends("s3").bucket_accounts.pop(_BUCKET, None)


def _details(state: State, bucket: BucketState | None, upload: Any) -> dict[str, bool]:
    """What ACLs, tags, encryption and access points are read from."""
    assert bucket is not None
    found = state.stored(_BUCKET, "key")
    open_bucket = replace(bucket, ownership="ObjectWriter")
    acl = acl_for(state, open_bucket, action="s3:ListBucket", key=None, version=None)
    backend = state.backends("s3control")[ACCOUNT]["aws"]
    backend.create_access_point(
        ACCOUNT, "self-check", _BUCKET, vpc_configuration={}, public_access_block_configuration={}
    )
    point = accesspoints.find(state, ACCOUNT, "self-check")
    backend.delete_access_point(ACCOUNT, "self-check")
    return {
        "ACLs": acl is not None and AclGrant(ACCOUNT, "FULL_CONTROL") in acl.grants,
        "tags": state.object_tags(_BUCKET, "key") == {},
        "encryption": found.encryption == "AES256" and found.kms_key_id is None and upload.sse_encryption is None,
        "access points": point is not None and (point.bucket, point.region) == (_BUCKET, REGION),
    }


def _network(state: State) -> dict[str, bool]:
    backend = state.backends("ec2")[ACCOUNT][REGION]
    before = state.read_topology(ACCOUNT, REGION)
    vpc, table = before.vpcs[0].id, before.route_tables[0]
    made = backend.create_vpc_endpoint(vpc, f"com.amazonaws.{REGION}.s3", "Gateway", None, [table.id])
    with_endpoint = state.read_topology(ACCOUNT, REGION)
    endpoint = with_endpoint.endpoint(made.id)
    routes = {route.target for entry in with_endpoint.route_tables for route in entry.routes}
    changes = dict.fromkeys(("add_subnets", "remove_subnets", "add_security_groups", "remove_security_groups"))
    backend.modify_vpc_endpoint(
        vpc_id=made.id, policy_doc="{}", remove_route_tables=[table.id], add_route_tables=[], **changes
    )
    after = state.read_topology(ACCOUNT, REGION)
    left = {route.target for entry in after.route_tables for route in entry.routes}
    changed = after.endpoint(made.id)
    return {
        "subnets": bool(before.subnets) and table.is_main,
        "security groups": bool(before.security_groups) and bool(before.security_groups[0].egress),
        "prefix lists": before.prefix_list_of("s3") is not None,
        "endpoints": endpoint is not None and endpoint.route_table_ids == (table.id,) and made.id in routes,
        "changes of endpoints": changed is not None
        and (changed.policy, changed.route_table_ids) == ("{}", ())
        and made.id not in left,
    }


def _functions(state: State) -> dict[str, bool]:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "")
    subnet = state.read_topology(ACCOUNT, REGION).subnets[0]
    spec = {
        "FunctionName": "self-check",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/{RUNNER}",
        "Handler": "index.handler",
        "Runtime": "python3.12",
        "Code": {"ZipFile": base64.b64encode(code.getvalue()).decode()},
        "VpcConfig": {"SubnetIds": [subnet.id], "SecurityGroupIds": []},
        "Environment": {"Variables": {"A": "b"}},
    }
    made = state.backends("lambda")[ACCOUNT][REGION].create_function(spec)
    function = state.function(ACCOUNT, REGION, "self-check")
    return {
        "code": function is not None and function.spec.zip == code.getvalue() and bool(function.spec.sha256),
        "configuration": function is not None
        and function.subnet_ids == (subnet.id,)
        and function.spec.environment == (("A", "b"),),
        "VPC": made.get_configuration()["VpcConfig"]["VpcId"] == subnet.vpc_id,
    }


_CHECKS: dict[str, Callable[[State], dict[str, bool]]] = {
    "principals": _principals,
    "buckets": _buckets,
    "network": _network,
    "functions": _functions,
}
