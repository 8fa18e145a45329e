"""A bucket for each claim, in the network of the example `endpoint_only`: plain boto3, as it would run on AWS."""

import importlib.util
import json
from pathlib import Path

_spec = importlib.util.spec_from_file_location("first", Path(__file__).parent.parent / "endpoint_only" / "provision.py")
first = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(first)

NAME = "every-claim-{}"
OURS = [f"arn:aws:s3:::{NAME.format('*')}", f"arn:aws:s3:::{NAME.format('*')}/*"]

ELSEWHERE = [f"arn:aws:s3:::{name}{end}" for name in ("mine-every-claim", "theirs-every-claim") for end in ("", "/*")]
RUNNER = ["arn:aws:iam::111122223333:role/s3vpce-runner"]
NOT_THE_RUNNER = {"ArnNotEquals": {"aws:PrincipalArn": RUNNER}}


def provision(accounts):
    main, partner = accounts["main"], accounts["partner"]
    network, other = first.main_network(main), first.partner_network(partner)
    writer = first.partner_network(main)
    everything = document(allow("s3:*", [*OURS, *ELSEWHERE]))
    open_endpoint = document(allow("s3:*", OURS, Principal="*"))
    first.bucket(main, NAME.format("control"))
    first.bucket(partner, NAME.format("partner-control"))
    found = {
        "AdminRole": first.role(main, "admin", everything),
        "ReaderRole": first.role(main, "reader", least()),
        "AppRole": first.role(main, "app", everything),
        "PartnerRole": first.role(partner, "partner", everything),
        "StrangerRole": first.role(partner, "stranger", everything),
        "Endpoint": first.gateway_endpoint(main, network["vpc"], [network["app_routes"]], open_endpoint),
        "PartnerEndpoint": first.gateway_endpoint(partner, other["vpc"], [other["routes"]], open_endpoint),
        "AppSubnet": network["app_subnet"],
        "ProbeGroup": network["group"],
        "ScopedRole": tagged_role(main, "scoped", everything),
        "WriterEndpoint": first.gateway_endpoint(main, writer["vpc"], [writer["routes"]], open_endpoint),
        "WriterSubnet": writer["subnet"],
        "WriterGroup": writer["group"],
        "PartnerSubnet": other["subnet"],
        "PartnerProbeGroup": other["group"],
    }
    elsewhere(main, partner, found["AppRole"])
    for name, policy in policies(found).items():
        bucket(main, name, policy)
    for key in ("ours/1", "theirs/1"):
        main.client("s3").put_object(Bucket=NAME.format("least"), Key=key, Body=b"object")
    for key, tags in {"objects/1": "team=red", "objects/2": "team=blue", "objects/3": ""}.items():
        main.client("s3").put_object(Bucket=NAME.format("tagged"), Key=key, Body=b"object", Tagging=tags)
    return found


def policies(found):
    """Each bucket's own policy, a statement for each of its protections and grants."""
    return {
        "public": document(allow("s3:GetObject", f"{arn('public')}/*", sid="Everybody", Principal="*")),
        "private": None,
        "duties": document(
            deny(
                ["s3:GetObject", "s3:ListBucket"],
                both("duties"),
                {"StringNotEquals": {"aws:SourceVpce": found["Endpoint"]}},
                sid="ReadsByOne",
            ),
            deny(
                "s3:PutObject",
                f"{arn('duties')}/*",
                {"StringNotEquals": {"aws:SourceVpce": found["WriterEndpoint"]}},
                sid="WritesByTheOther",
            ),
        ),
        "glass": document(
            deny(
                ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"],
                arn("glass"),
                {"ArnNotEquals": {"aws:PrincipalArn": [found["AdminRole"], *RUNNER]}},
                sid="AdministratorsOnly",
            )
        ),
        "least": None,
        "modern": document(
            deny("s3:*", both("modern"), {"Bool": {"aws:SecureTransport": "false"}}, sid="TlsOnly"),
            deny("s3:*", both("modern"), {"NumericLessThan": {"s3:TlsVersion": "1.3"}}, sid="ModernTlsOnly"),
        ),
        "shared": document(
            allow(
                "s3:GetObject",
                f"{arn('shared')}/*",
                sid="PartnerReads",
                Principal={"AWS": found["PartnerRole"]},
                Condition={"StringEquals": {"aws:SourceVpce": found["PartnerEndpoint"]}},
            )
        ),
        "signed": document(
            deny(
                "s3:*",
                both("signed"),
                {"StringNotEquals": {"aws:SourceVpce": found["Endpoint"]}, **NOT_THE_RUNNER},
                sid="OnlyThroughTheEndpoint",
            ),
            deny("s3:*", both("signed"), {"NumericGreaterThan": {"s3:signatureAge": "600000"}}, sid="TenMinutes"),
        ),
        "tagged": document(
            deny(
                "s3:GetObject",
                f"{arn('tagged')}/*",
                {
                    "StringNotEquals": {"s3:ExistingObjectTag/team": "${aws:PrincipalTag/team}"},
                    "ArnEquals": {"aws:PrincipalArn": found["ScopedRole"]},
                },
                sid="OwnTeamOnly",
            )
        ),
    }


def least():
    """What `reader` may do, and no more: its part of one bucket, and the control bucket."""
    return document(
        allow("s3:GetObject", [f"{arn('least')}/ours/*", f"{arn('control')}/*"], sid="Reads"),
        allow("s3:ListBucket", arn("least"), sid="Lists", Condition={"StringLike": {"s3:prefix": "ours/*"}}),
    )


def tagged_role(session, name, policy):
    """A role whose sessions may carry tags."""
    arn = first.role(session, name, policy)
    trust = allow(["sts:AssumeRole", "sts:TagSession"], None, Principal={"AWS": arn.replace(f"role/{name}", "root")})
    del trust["Resource"]
    session.client("iam").update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(document(trust)))
    return arn


def elsewhere(main, partner, app):
    """Two buckets that the endpoint's policy does not name; `app` may use both."""
    first.bucket(main, "mine-every-claim")
    first.bucket(partner, "theirs-every-claim")
    policy = document(allow("s3:*", [row for row in ELSEWHERE if "theirs" in row], Principal={"AWS": app}))
    partner.client("s3").put_bucket_policy(Bucket="theirs-every-claim", Policy=json.dumps(policy))


def bucket(session, name, policy):
    """A bucket with a canary and its policy; all but `public` keep the Block Public Access that new buckets have."""
    s3 = session.client("s3")
    first.bucket(session, NAME.format(name))
    if name == "public":
        s3.delete_public_access_block(Bucket=NAME.format(name))
    if policy is not None:
        s3.put_bucket_policy(Bucket=NAME.format(name), Policy=json.dumps(policy))


def arn(name):
    return f"arn:aws:s3:::{NAME.format(name)}"


def both(name):
    return [arn(name), f"{arn(name)}/*"]


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, resource, *, sid="Allow", **more):
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource, condition, *, sid, **more):
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": condition,
        **more,
    }
