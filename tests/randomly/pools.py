"""The small pools that random requests and policies are made of, so that they often meet."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

OWNER, OTHER = "111122223333", "444455556666"
ROLE, SESSION = f"arn:aws:iam::{OWNER}:role/app", f"arn:aws:sts::{OWNER}:assumed-role/app/s1"
USER, FEDERATED = f"arn:aws:iam::{OWNER}:user/team/ann", f"arn:aws:sts::{OWNER}:federated-user/bob"
LINKED = f"arn:aws:iam::{OWNER}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"
PARTNER_ROLE = f"arn:aws:iam::{OTHER}:role/partner"
PARTNER, EVE = f"arn:aws:sts::{OTHER}:assumed-role/partner/s9", f"arn:aws:iam::{OTHER}:user/eve"
SERVICE = "logging.s3.amazonaws.com"

PATHED = f"arn:aws:sts::{OWNER}:assumed-role/deep/s1"
PATHED_ROLE = f"arn:aws:iam::{OWNER}:role/team/deep"
"""A session's ARN has no path: its requests state their role."""

BEHIND: dict[str, tuple[Any, ...]] = {
    SESSION: (SESSION, ROLE, OWNER),
    PATHED: (PATHED, PATHED_ROLE, OWNER),
    ROLE: (ROLE, OWNER),
    LINKED: (LINKED, OWNER),
    USER: (USER, f"arn:aws:iam::{OWNER}:root"),
    FEDERATED: (FEDERATED, OWNER),
    f"arn:aws:iam::{OWNER}:root": (OWNER,),
    PARTNER: (PARTNER, PARTNER_ROLE, OTHER),
    PARTNER_ROLE: (PARTNER_ROLE, OTHER),
    EVE: (EVE, f"arn:aws:iam::{OTHER}:root"),
    f"arn:aws:iam::{OTHER}:root": (f"arn:aws:iam::{OTHER}:root",),
}
"""By what names a policy can mean a caller."""

OWN = (PATHED, SESSION, SESSION, ROLE, USER, USER, FEDERATED, f"arn:aws:iam::{OWNER}:root", LINKED)
FOREIGN = (PARTNER, PARTNER, PARTNER_ROLE, EVE, f"arn:aws:iam::{OTHER}:root", "anonymous", f"service:{SERVICE}")

NAMED: tuple[Any, ...] = (
    OWNER, f"arn:aws:iam::{OWNER}:root", ROLE, SESSION, f"arn:aws:sts::{OWNER}:assumed-role/app/s2", USER, FEDERATED,
    LINKED, OTHER, f"arn:aws:iam::{OTHER}:root", PARTNER_ROLE, PARTNER, EVE,
)  # fmt: skip

POINT = f"arn:aws:s3:us-east-1:{OWNER}:accesspoint/reading"

OBJECTS = ("arn:aws:s3:::reports/2026/q3.csv", "arn:aws:s3:::reports/ann/a.txt", "arn:aws:s3:::reports/red/a?c*e")
ASKED = (
    ("s3:GetObject", OBJECTS),
    ("s3:GetObject", OBJECTS),
    ("s3:PutObject", OBJECTS),
    ("s3:ListBucket", ("arn:aws:s3:::reports",)),
    ("s3:GetBucketPolicy", ("arn:aws:s3:::reports",)),
    ("s3:PutBucketPolicy", ("arn:aws:s3:::reports",)),
)
TRUST = ("sts:AssumeRole", (f"arn:aws:iam::{OWNER}:role/target",))

WIDE_ACTIONS = ("*", "s3:*", ["s3:*", "sts:*", "kms:*"], ["s3:Get*", "s3:List*", "s3:Put*", "sts:Assume*", "kms:*"])
ACTIONS = (
    "s3:GetObject", "S3:getobject", "s3:Get*", "s3:?etObject", "s3:*Object", "s3:ListBucket", "s3:Put*", "s3:*Bucket*",
    "s3:*e*", "ec2:*", "sts:AssumeRole", "s3:GetObjectVersion", "s3:G*t*Object",
)  # fmt: skip
WIDE_RESOURCES = ("*", ["arn:aws:s3:::reports", "arn:aws:s3:::reports/*", "arn:aws:iam::111122223333:role/*"])
RESOURCES = (
    "arn:aws:s3:::reports", "arn:aws:s3:::reports/*", "arn:aws:s3:::*", "arn:*:s3:::reports/20??/*",
    "arn:aws:s3:::logs/*", "arn:aws:s3:::reports/${aws:username}/*",
    "arn:aws:s3:::reports/${aws:PrincipalTag/team, 'red'}/*",
    "arn:aws:s3:::reports/${AWS:principaltag/TEAM}/*", "arn:aws:s3:::reports/red/a${?}c${*}e", "arn:aws:s3:::*/a.txt",
    "arn:aws:s3:::reports/*/q?.csv", "arn:aws:s3:::reports/red/*e",
)  # fmt: skip

STRINGS = ("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike",
           "StringNotLike", "stringequals", "STRINGNOTLIKE")  # fmt: skip
ARNS = ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike")
NUMBERS = tuple(
    "Numeric" + test
    for test in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
)
DATES = tuple(name.replace("Numeric", "Date") for name in NUMBERS)
ADDRESSES = ("IpAddress", "NotIpAddress")

TEXTS = ("vpce-1", "vpce-*", "vpce-?", "VPCE-1", "vpce-2")
KEYS: dict[str, tuple[tuple[Any, ...], tuple[str, ...], tuple[Any, ...]]] = {
    # the key: what requests carry, operators, what policies want
    "aws:SourceVpce": (("vpce-1", "vpce-2"), STRINGS, TEXTS),
    "aws:SourceVpc": (("vpc-1",), STRINGS, ("vpc-1", "vpc-*", "vpc-9")),
    "aws:SourceIp": (
        ("203.0.113.7", "2001:db8::7"),
        ADDRESSES,
        ("203.0.113.0/24", "203.0.113.7", "2001:db8::/32", "2001:db8::7", "198.51.100.0/24",
         "128.0.0.0/1", "203.0.113.9/24", "200.0.0.0/8",
         "200.0.0.0/7", "2001::/16"),
    ),
    "aws:SecureTransport": (
        ("true", "false", True, False),
        ("Bool",),
        ("true", "false", True, False, "${aws:PrincipalTag/tls}", "${aws:PrincipalTag/tls, 'true'}"),
    ),
    "aws:PrincipalTag/tls": (("true", "false"), STRINGS[:2], ("true", "false", "${aws:SecureTransport}")),
    "s3:TlsVersion": (("1.2", "1.3", 1.2), NUMBERS, ("1.2", "1.20", "1.3", 1.3, "2")),
    "s3:max-keys": (("1000", "7", 7), NUMBERS, ("7", "10", 1000, "-1")),
    "aws:CurrentTime": (
        ("2026-11-25T10:00:00Z", "2026-01-01T00:00:00Z"),
        DATES,
        ("2026-11-25T10:00:00Z", "2026-11-25T12:00:00+02:00", "2026-01-01", "2026-11", "1767225600",
         "2026-06-01T00:00:00.5Z"),
    ),
    "aws:PrincipalTag/team": (("red", "Red", "blue"), STRINGS, ("red", "RED", "b*", "r?d", "${aws:username}")),
    "aws:username": (("ann", "red"), STRINGS, ("ann", "${aws:PrincipalTag/team}", "${aws:PrincipalTag/team, 'ann'}")),
    "s3:prefix": (("home/ann/", "a*c", "pub"), STRINGS, ("home/*", "home/${aws:username}/", "a${*}c", "a*c", "pub")),
    "aws:SourceArn": (
        ("arn:aws:s3:::src", f"arn:aws:sns:us-east-1:{OWNER}:a:b"),
        ARNS,
        ("arn:aws:s3:::src", "arn:aws:s3:::*", f"arn:aws:sns:*:{OWNER}:*", "arn:*:*:*:*:*", "arn:aws:s?s:*:*:a:?",
         "arn:aws:s3:::${aws:username}"),
    ),
    "aws:PrincipalArn": (
        (),  # derived
        ARNS + STRINGS[:2],
        (ROLE, USER, PATHED_ROLE, f"arn:aws:iam::{OWNER}:role/*", "arn:aws:iam::*:user/*", PARTNER_ROLE,
         SESSION, FEDERATED),
    ),
    "aws:PrincipalAccount": ((), STRINGS, (OWNER, OTHER, "1111*", "anonymous")),
    "aws:PrincipalType": ((), STRINGS[:2], ("User", "AssumedRole", "Account", "FederatedUser")),
    "aws:ResourceAccount": ((), STRINGS, (OWNER, OTHER, "${aws:PrincipalAccount}")),
    "s3:ResourceAccount": ((), STRINGS[:2], (OWNER, OTHER)),
    "aws:PrincipalOrgID": (("o-1",), STRINGS, ("o-1", "o-*", "o-2")),
    "aws:SourceAccount": ((OWNER,), STRINGS, (OWNER, "1111*", "${aws:PrincipalAccount}", OTHER)),
    "aws:userid": (("AIDA1", "AROA1:s1"), STRINGS, ("AIDA1", "AROA1:s1", "AROA1:*", "*:s1")),
    "aws:TagKeys": (("a", "b", "C"), STRINGS, ("a", "b", "c", "C", "?", "*")),
    "s3:DataAccessPointArn": ((), ("ArnLike", "ArnNotLike", *STRINGS[:2]), (POINT, POINT[:-3] + "*", POINT + "s")),
    "s3:DataAccessPointAccount": ((), STRINGS, (OWNER, OTHER)),
    "s3:AccessPointNetworkOrigin": (("VPC", "Internet"), STRINGS[:2], ("VPC", "Internet")),
    "aws:ViaAWSService": ((), ("Bool",), ("true", "false", True)),
    "kms:ViaService": ((), STRINGS, ("s3.us-east-1.amazonaws.com", "s3.*.amazonaws.com", "s3.eu-west-1.amazonaws.com")),
    "kms:CallerAccount": ((), STRINGS, (OWNER, OTHER)),
    "kms:EncryptionContext:aws:s3:arn": ((), ("StringLike", "StringEquals"), (*OBJECTS[:2], "arn:aws:s3:::reports/*")),
    "x:Bytes": (("QUJD", "QUJE"), ("BinaryEquals",), ("QUJD", "QUJE")),
}  # fmt: skip
SEVERAL = "aws:TagKeys"
"""The key of many values: conditions on it have a set operator."""
FIXING = ("aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce", "aws:SourceAccount", "aws:userid", "aws:PrincipalOrgID",
          "aws:SourceArn", "aws:username", "s3:prefix")  # fmt: skip
"""Keys that may say who the public is, and two that do not."""
UNSETTLED = ("aws:PrincipalAccount", "aws:PrincipalType")

OF_POINTS = ("s3:DataAccessPointArn", "s3:DataAccessPointAccount", "s3:AccessPointNetworkOrigin")
AT_KMS = (
    "aws:SourceVpce", "aws:SourceVpc", "aws:SourceIp", "aws:CurrentTime", "aws:PrincipalTag/team", "aws:username",
    "aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:PrincipalOrgID", "aws:userid",
    "aws:ResourceAccount", "aws:ViaAWSService", "kms:ViaService", "kms:CallerAccount",
    "kms:EncryptionContext:aws:s3:arn",
)  # fmt: skip
PLAIN = tuple(key for key in KEYS if key not in OF_POINTS and not key.startswith("kms:"))
"""Which keys a policy may ask for: anywhere, by access points, at KMS (where what S3 passes on is settled)."""

FULL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
