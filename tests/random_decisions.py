"""Random lines of the decide format, made from small pools so that policies and requests often meet.

Left out, because the documentation is silent or leaves it to a live finding: several values of a key without a set
operator, empty strings and lists, wildcards inside values that variables bring in, malformed numbers, dates and
addresses, NotPrincipal with Allow, incomplete ARNs, keys whose value for services or anonymous callers is unsettled,
a session policy of root's.
"""

from __future__ import annotations

import random
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

WIDE_ACTIONS = ("*", "s3:*", ["s3:*", "sts:*"], ["s3:Get*", "s3:List*", "s3:Put*", "sts:Assume*"])
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
    "x:Bytes": (("QUJD", "QUJE"), ("BinaryEquals",), ("QUJD", "QUJE")),
}  # fmt: skip
SEVERAL = "aws:TagKeys"
TAGS = ("a", "b", "C")
FIXING = ("aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce", "aws:SourceAccount", "aws:userid", "aws:PrincipalOrgID",
          "aws:SourceArn", "aws:username", "s3:prefix")  # fmt: skip
"""Keys that may say who the public is, and two that do not."""
UNSETTLED = ("aws:PrincipalAccount", "aws:PrincipalType")

FULL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Maker:
    """One random line: the number decides everything."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.number = number

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, pool: tuple[Any, ...]) -> Any:
        """One of the pool, or a list of one to three."""
        if self.chance(0.6):
            return self.random.choice(pool)
        return [self.random.choice(pool) for _ in range(self.random.randint(1, 3))]

    def line(self) -> Json:
        caller = self.random.choice(OWN if self.chance(0.6) else FOREIGN)
        self.caller = caller
        self.keys = [
            key for key in KEYS if not (key in UNSETTLED and (caller == "anonymous" or caller.startswith("service:")))
        ]
        action, resources = TRUST if self.chance(0.06) else self.random.choice(ASKED)
        request = {
            "action": action,
            "resource": self.random.choice(resources),
            "resource_account": OWNER,
            "principal": caller,
            "context": self.context(),
        }
        return {"id": str(self.number), "request": request, "policies": self.policies(caller)}

    def context(self) -> Json:
        carried: Json = {}
        for key in self.keys:
            values = KEYS[key][0]
            if values and self.chance(0.6):
                value = self.random.choice(values)
                carried[key.upper() if self.chance(0.1) else key] = [value] if self.chance(0.1) else value
        if self.caller == PATHED:
            carried[self.random.choice(("aws:PrincipalArn", "AWS:principalarn"))] = PATHED_ROLE
        if self.chance(0.6):
            carried[SEVERAL] = self.random.sample(TAGS, self.random.randint(1, 3))
        return carried

    def policies(self, caller: str) -> Json:
        inside = caller in OWN
        sessions = 0.8 if caller == FEDERATED else 0.35
        made: Json = {
            "identity": self.maybe(0.95, lambda: self.named(0.85)),
            "permissions_boundary": self.maybe(0.45, lambda: self.named(0.6)),
            "session": self.maybe(sessions, lambda: self.named(0.65)),
            "resource": self.maybe(0.5 if inside else 0.92, lambda: self.with_principals(0.3 if inside else 0.85)),
            "vpc_endpoint": self.maybe(0.3, lambda: self.with_principals(0.9, everyone=0.8)),
            "scps": self.maybe(0.5, self.levels),
            "rcps": self.maybe(0.25, self.rcp_levels),
        }
        if caller.endswith(":root"):
            made["session"] = None
        if isinstance(made["vpc_endpoint"], dict):
            self.endpoint_type(made)
        if self.chance(0.35):
            made["block_public_access"] = {"restrict_public_buckets": self.chance(0.85)}
        for flag in ("principal_in_management_account", "resource_in_management_account"):
            if self.chance(0.1):
                made[flag] = self.chance(0.8)
        return {name: value for name, value in made.items() if value is not None or self.chance(0.5)}

    def endpoint_type(self, made: Json) -> None:
        """A gateway's principals are `*` or an account: what an ARN does there is not said."""
        made["endpoint_type"] = self.random.choice(("gateway", "interface"))
        for statement in made["vpc_endpoint"]["Statement"]:
            if "NotPrincipal" in statement:
                del statement["NotPrincipal"]
                statement["Principal"] = "*"
            elif made["endpoint_type"] == "gateway" and statement["Principal"] not in ("*", {"AWS": "*"}):
                statement["Principal"] = {"AWS": self.random.choice((OWNER, OTHER))}

    def maybe(self, share: float, make: Any) -> Any:
        """The layer, nothing, or (rarely) a layer that could not be read."""
        if self.chance(0.02):
            return "unknown"
        return make() if self.chance(share) else None

    def named(self, kindness: float) -> list[Json]:
        return [{"name": f"p{index}", "policy": self.policy(kindness)} for index in range(1 if self.chance(0.7) else 2)]

    def levels(self) -> list[Json]:
        return [
            {"level": level, "policies": [{"name": "full", "policy": FULL}] if self.chance(0.6) else self.named(0.8)}
            for level in ("root", "ou", "account")[: self.random.randint(0, 3)]
        ]

    def rcp_levels(self) -> list[Json]:
        levels = []
        for level in ("root", "account")[: self.random.randint(1, 2)]:
            document = {"Version": "2012-10-17", "Statement": [self.statement("Deny") | {"Principal": "*"}]}
            levels.append({"level": level, "policies": [{"name": "r", "policy": document}]})
        return levels

    def policy(self, kindness: float) -> Json:
        statements = [self.statement("Deny") for _ in range(self.random.choice((0, 0, 1)))]
        statements += [self.statement("Allow") for _ in range(self.random.choice((0, 1, 1)))]
        if self.chance(kindness):
            wide = {"Effect": "Allow", "Action": self.random.choice(WIDE_ACTIONS)}
            statements.append(wide | {"Resource": self.random.choice(WIDE_RESOURCES)})
        self.random.shuffle(statements)
        if not statements:
            statements = [self.statement("Allow")]
        document: Json = {"Statement": statements[0] if len(statements) == 1 and self.chance(0.3) else statements}
        if self.chance(0.9):
            document["Version"] = "2012-10-17" if self.chance(0.95) else "2008-10-17"
        return document

    def with_principals(self, kindness: float, *, everyone: float = 0.35) -> Json:
        document = self.policy(kindness)
        if isinstance(document["Statement"], dict):
            document["Statement"] = [document["Statement"]]
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny" and self.chance(0.3):
                statement["NotPrincipal"] = self.spared()
            else:
                statement["Principal"] = self.principal(everyone)
        if self.chance(0.2):
            document["Statement"].append(self.perhaps_public())
        return document

    def perhaps_public(self) -> Json:
        """Everyone, under a condition that may or may not fix who that is."""
        key = self.random.choice(tuple(key for key in self.keys if key in FIXING))
        operators = tuple(name for name in KEYS[key][1] if "Not" not in name)
        condition = {self.random.choice(operators): {key: self.some(KEYS[key][2])}}
        made = {"Effect": "Allow", "Principal": self.random.choice(("*", {"AWS": "*"}, {"AWS": ["*", OWNER]}))}
        return made | {"Action": self.random.choice(("s3:*", "s3:Put*")), "Resource": "*", "Condition": condition}

    def spared(self) -> Json:
        """All the names of the caller or of somebody else, rarely with one missing."""
        if self.chance(0.1):
            return {"Service": SERVICE}
        listed = [*BEHIND[self.caller if self.caller in BEHIND and self.chance(0.8) else SESSION]]
        if self.chance(0.4) and len(listed) > 1:
            listed.pop(self.random.randrange(len(listed)))
        return {"AWS": [*listed, USER] if self.chance(0.2) else listed}

    def principal(self, everyone: float) -> Any:
        if self.chance(everyone):
            return self.random.choice(("*", {"AWS": "*"}, {"AWS": ["*"]}))
        if self.caller in BEHIND and self.chance(0.6):
            return {"AWS": self.random.choice(BEHIND[self.caller])}
        if self.chance(0.15):
            return {"Service": self.random.choice((SERVICE, [SERVICE], "ec2.amazonaws.com")), "AWS": self.some(NAMED)}
        return {"AWS": self.some(NAMED) if self.chance(0.5) else list(self.random.sample(NAMED, 4))}

    def statement(self, effect: str) -> Json:
        made: Json = {"Effect": effect}
        narrow_action, narrow_resource = self.chance(0.5), self.chance(0.5)
        name = "NotAction" if narrow_action and self.chance(0.15) else "Action"
        made[name] = self.some(ACTIONS) if narrow_action else self.random.choice(WIDE_ACTIONS)
        name = "NotResource" if narrow_resource and self.chance(0.2) else "Resource"
        made[name] = self.some(RESOURCES) if narrow_resource else self.random.choice(WIDE_RESOURCES)
        if self.chance(0.75):
            made["Condition"] = self.conditions()
        return made

    def conditions(self) -> Json:
        made: Json = {}
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            if self.chance(0.15):
                key, wanted = SEVERAL, self.some(("a", "b", "c", "C", "?", "*"))
                operator = self.random.choice(("ForAllValues:", "ForAnyValue:")) + self.random.choice(STRINGS)
            else:
                key = self.random.choice(self.keys)
                _, operators, pool = KEYS[key]
                wanted = self.some(pool)
                operator = self.random.choice(("", "", "", "", "", "ForAllValues:", "ForAnyValue:"))
                operator += self.random.choice(operators)
            operator += "IfExists" if self.chance(0.2) else ""
            if self.chance(0.1):
                operator, wanted = "Null", self.random.choice(("true", "false", True, False))
            made.setdefault(operator, {})[key] = wanted
        return made


def random_line(number: int) -> Json:
    return Maker(number).line()
