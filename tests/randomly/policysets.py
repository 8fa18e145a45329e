"""Random policies of every kind about what is there: mostly open, so that each layer decides about its share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    Json = dict[str, Any]

RUNNERS: Final = ["arn:aws:iam::*:role/s3vpce-runner*", "arn:aws:iam::*:root"]
"""Who makes everything, reads the snapshot and the canaries: denies spare them."""
SPARED: Final = {"ArnNotLike": {"aws:PrincipalArn": RUNNERS}}
VERSION: Final = "2012-10-17"

TEXT: Final = ("StringEquals", "StringNotEquals", "StringEqualsIfExists", "StringNotEqualsIfExists", "StringLike",
               "StringNotLike", "StringEqualsIgnoreCase", "StringNotLikeIfExists")  # fmt: skip
EACH: Final = ("ForAllValues:StringEquals", "ForAnyValue:StringEquals", "ForAllValues:StringNotEquals",
               "ForAnyValue:StringLike")  # fmt: skip
ADDRESS: Final = ("IpAddress", "NotIpAddress", "NotIpAddressIfExists", "IpAddressIfExists")
ARN: Final = ("ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLikeIfExists", "StringLike", "StringNotEquals")
BOOL: Final = ("Bool", "BoolIfExists")
NUMBER: Final = ("NumericLessThan", "NumericGreaterThanEquals", "NumericLessThanIfExists", "NumericGreaterThan")
DATE: Final = ("DateGreaterThan", "DateLessThan")
ACTIONS: Final[tuple[Any, ...]] = (
    "s3:*", "s3:*", "s3:*", ["s3:Get*", "s3:List*"], ["s3:Get*", "s3:List*"], "s3:Get*", "s3:Put*", "s3:*Object*",
    ["s3:GetObject", "s3:PutObject", "s3:ListBucket"], "s3:GetObject", "s3:PutObject", "s3:ListBucket",
    ["s3:GetBucket*", "s3:PutBucket*"], ["s3:Delete*", "s3:Abort*"], ["s3:GetObjectTagging", "s3:PutObjectTagging"],
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A condition key: the operators that it is asked with, and values that are met or missed."""

    operators: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What policies may name, as it was made."""

    endpoints: tuple[str, ...]
    vpcs: tuple[str, ...]
    addresses: tuple[str, ...]
    accounts: tuple[str, ...]
    """The owner's first."""
    organization: str
    path: str
    """Of the unit that the owner stands in."""
    people: tuple[str, ...]
    keys: tuple[str, ...]
    points: tuple[str, ...]
    region: str
    machines: tuple[str, ...] = ("arn:aws:ec2:*:*:instance/i-0",)
    """An instance's ARN and the address that it has in its VPC."""
    functions: tuple[str, ...] = ("arn:aws:lambda:*:*:function:none",)
    nets: tuple[str, ...] = ()
    """Blocks of IPv6."""


def network_keys(named: Named) -> dict[str, Key]:
    return {
        "aws:SourceVpce": Key(operators=(*TEXT, *EACH), values=(*named.endpoints, list(named.endpoints[:2]), "vpce-*")),
        "aws:SourceVpc": Key(operators=TEXT, values=(*named.vpcs, list(named.vpcs[:2]))),
        "aws:SourceIp": Key(operators=ADDRESS, values=_addresses(named)),
        "aws:VpceAccount": Key(operators=TEXT, values=named.accounts),
        "aws:VpceOrgID": Key(operators=TEXT, values=(named.organization, "o-zzzzzzzzzz")),
        "aws:VpceOrgPaths": Key(operators=EACH, values=(named.path, f"{named.organization}/*")),
        "aws:SecureTransport": Key(operators=BOOL, values=("true", "false")),
        "s3:TlsVersion": Key(operators=NUMBER, values=("1.2", "1.3")),
        "aws:RequestedRegion": Key(operators=TEXT, values=(named.region, "eu-west-1")),
    }


def _addresses(named: Named) -> tuple[Any, ...]:
    both = [[block, named.addresses[0]] for block in named.nets[:1]]
    return (*named.addresses, list(named.addresses), "10.0.0.0/8", *named.nets, *both)


def own_keys(named: Named) -> dict[str, Key]:
    """What only the own credentials of a function or an instance carry."""
    machines = tuple(name for name in named.machines if name.startswith("arn:"))
    return {
        "lambda:SourceFunctionArn": Key(operators=ARN, values=(*named.functions, "arn:aws:lambda:*:*:function:*")),
        "ec2:SourceInstanceARN": Key(operators=ARN, values=(*machines, "arn:aws:ec2:*:*:instance/*")),
        "ec2:RoleDelivery": Key(operators=("NumericLessThan", "NumericGreaterThanEquals"), values=("2.0", "3.0")),
        "aws:Ec2InstanceSourceVpc": Key(operators=TEXT, values=(*named.vpcs, "${aws:SourceVpc}")),
        "aws:Ec2InstanceSourcePrivateIPv4": Key(
            operators=("StringEquals", "StringNotEquals", "StringNotEqualsIfExists"),
            values=("${aws:VpcSourceIp}", *(name for name in named.machines if not name.startswith("arn:"))),
        ),
    }


def people_keys(named: Named) -> dict[str, Key]:
    return {
        "aws:PrincipalArn": Key(operators=ARN, values=(*named.people, f"arn:aws:iam::{named.accounts[0]}:role/*")),
        "aws:PrincipalAccount": Key(operators=TEXT, values=(*named.accounts, list(named.accounts[:2]))),
        "aws:PrincipalOrgID": Key(operators=TEXT, values=(named.organization, named.organization, "o-zzzzzzzzzz")),
        "aws:PrincipalOrgPaths": Key(operators=EACH, values=(named.path, f"{named.organization}/*")),
        "aws:PrincipalTag/team": Key(operators=TEXT, values=("red", ["red", "blue"], "b*")),
        "aws:PrincipalType": Key(operators=TEXT, values=("AssumedRole", "User")),
        "aws:PrincipalIsAWSService": Key(operators=BOOL, values=("true", "false")),
        "aws:ViaAWSService": Key(operators=BOOL, values=("true", "false")),
        "aws:MultiFactorAuthPresent": Key(operators=BOOL, values=("true", "false")),
        "aws:username": Key(operators=TEXT, values=("ann", "an*")),
        "aws:userid": Key(operators=("StringLike", "StringNotLike"), values=("AROA*:s3vpce-*", "AIDA*", "*:nightly")),
        "aws:SourceIdentity": Key(operators=TEXT, values=("sam", "joe")),
        "aws:TokenIssueTime": Key(operators=DATE, values=("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z")),
        "aws:CurrentTime": Key(operators=DATE, values=("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z")),
        "aws:EpochTime": Key(operators=NUMBER, values=("1600000000", "4000000000")),
    }


def request_keys(named: Named) -> dict[str, Key]:
    return {
        "s3:ExistingObjectTag/class": Key(operators=TEXT, values=("open", "closed", "${aws:PrincipalTag/team}")),
        "s3:RequestObjectTag/class": Key(operators=TEXT, values=("open", "closed")),
        "s3:RequestObjectTagKeys": Key(operators=EACH, values=("class", ["class", "more"])),
        "s3:x-amz-server-side-encryption": Key(operators=TEXT, values=("AES256", "aws:kms", ["AES256", "aws:kms"])),
        "s3:x-amz-server-side-encryption-aws-kms-key-id": Key(operators=ARN, values=named.keys),
        "s3:x-amz-server-side-encryption-customer-algorithm": Key(operators=TEXT, values=("AES256",)),
        "s3:x-amz-acl": Key(operators=TEXT, values=("bucket-owner-full-control", ["private", "public-read"])),
        "s3:x-amz-storage-class": Key(operators=TEXT, values=("STANDARD_IA", "GLACIER")),
        "s3:if-none-match": Key(operators=TEXT, values=("*",)),
        "s3:prefix": Key(operators=TEXT, values=("", "canary", "can*", "${aws:username}*")),
        "s3:delimiter": Key(operators=TEXT, values=("/",)),
        "s3:max-keys": Key(operators=NUMBER, values=("0", "10")),
        "s3:authType": Key(operators=TEXT, values=("REST-HEADER", "REST-QUERY-STRING")),
        "s3:signatureversion": Key(operators=TEXT, values=("AWS4-HMAC-SHA256",)),
        "s3:signatureAge": Key(operators=NUMBER, values=("40000", "600000")),
        "s3:x-amz-content-sha256": Key(operators=TEXT, values=("UNSIGNED-PAYLOAD",)),
        "aws:UserAgent": Key(operators=TEXT, values=("s3vpce*", "curl*")),
        "aws:Referer": Key(operators=TEXT, values=("https://example.com/*",)),
        "aws:ResourceAccount": Key(operators=TEXT, values=(*named.accounts[:2], "${aws:PrincipalAccount}")),
        "s3:ResourceAccount": Key(operators=TEXT, values=(named.accounts[0],)),
        "aws:ResourceOrgID": Key(operators=TEXT, values=(named.organization, "${aws:PrincipalOrgID}")),
        "aws:ResourceOrgPaths": Key(operators=EACH, values=(named.path, f"{named.organization}/*")),
        "s3:DataAccessPointArn": Key(operators=ARN, values=(*named.points, "arn:aws:s3:*:*:accesspoint/*")),
        "s3:DataAccessPointAccount": Key(operators=TEXT, values=named.accounts[:2]),
        "s3:AccessPointNetworkOrigin": Key(operators=TEXT, values=("VPC", "Internet")),
    }


def key_keys(named: Named) -> dict[str, Key]:
    """What policies ask of requests that S3 makes to KMS."""
    return {
        "kms:ViaService": Key(operators=TEXT, values=(f"s3.{named.region}.amazonaws.com", "ec2.*.amazonaws.com")),
        "kms:CallerAccount": Key(operators=TEXT, values=named.accounts[:3]),
        "kms:EncryptionContext:aws:s3:arn": Key(
            operators=("StringLike", "StringNotLike"), values=("arn:aws:s3:::random-*/*", "arn:aws:s3:::random-1-*")
        ),
        "aws:PrincipalOrgID": Key(operators=TEXT, values=(named.organization,)),
        "aws:PrincipalTag/team": Key(operators=TEXT, values=("red", "blue")),
        "aws:PrincipalArn": Key(operators=ARN, values=named.people),
    }


class Writer:
    """Writes policies. What it was asked before decides what it writes next."""

    def __init__(self, dice: random.Random, named: Named) -> None:
        self.dice = dice
        self.named = named
        self._network, self._people, self._request = network_keys(named), people_keys(named), request_keys(named)
        self._of_keys, self._own = key_keys(named), own_keys(named)
        self.used: set[str] = set()
        """The condition keys that stand in any policy so far."""

    def chance(self, part: float) -> bool:
        return self.dice.random() < part

    def conditions(self, *, most: int = 2, family: Mapping[str, Key] | None = None) -> Json:
        found: Json = {}
        for _ in range(self.dice.randint(0 if most > 1 else 1, most)):
            # Networks decide about half of all real policies on endpoints.
            families = (self._network, self._network, self._network, self._people, self._request, self._request)
            rows = family or self.dice.choice((*families, self._own if self.chance(0.5) else self._people))
            name = self.dice.choice(tuple(rows))
            self.used.add(name)
            if self.chance(0.1):
                found.setdefault("Null", {})[name] = self.dice.choice(("true", "false"))
            else:
                operator = self.dice.choice(rows[name].operators)
                found.setdefault(operator, {})[name] = self.dice.choice(rows[name].values)
        return found

    def principal(self) -> Any:
        some = self.dice.sample(self.named.people, 3)
        account = self.dice.choice(self.named.accounts)
        everybody = {"AWS": list(self.named.accounts)}
        return self.dice.choice(("*", "*", {"AWS": "*"}, {"AWS": some}, {"AWS": account}, everybody, everybody))

    def allow(self, resource: Any, *, wide: float, principals: bool = False) -> Json:
        """An allow of everything, or one that is narrower."""
        row: Json = {"Effect": "Allow", "Action": "s3:*", "Resource": resource}
        if principals:
            row["Principal"] = self.principal()
        if not self.chance(wide):
            row["Action"] = self.dice.choice(ACTIONS)
            row |= self._conditioned(self.conditions())
        if not principals and self.chance(0.1):
            row["NotAction"] = [row.pop("Action"), "s3:DeleteObject"][1]
        return row

    def deny(self, resource: Any, *, principals: bool = False, spared: bool = True) -> Json:
        """A deny with a condition or two; `spared` are those who make everything."""
        row: Json = {"Effect": "Deny", "Action": self.dice.choice(ACTIONS), "Resource": resource}
        if principals:
            row["Principal"] = self.dice.choice(("*", "*", {"AWS": "*"}, self.principal()))
        conditions = self.conditions(most=1 if self.chance(0.7) else 2)
        return row | self._conditioned({**conditions, **SPARED} if spared else conditions)

    def _conditioned(self, conditions: Json) -> Json:
        return {"Condition": conditions} if conditions else {}

    # --- documents ---------------------------------------------------------------------------------------------------

    def identity(self, *, wide: float = 0.9, denies: float = 0.2) -> str:
        """Of a role, a boundary, a session: everything, or buckets and access points by their names."""
        resource = "*" if self.chance(0.8) else ["arn:aws:s3:::random-*", "arn:aws:s3:*:*:accesspoint/*"]
        rows = [self.allow(resource, wide=wide)]
        if self.chance(0.75):
            rows.append({"Effect": "Allow", "Action": "kms:*", "Resource": "*"})
        if self.chance(denies):
            rows.append(self.deny("*", spared=False))
        return document(rows)

    def of_endpoint(self) -> str:
        rows = [self.allow("*", wide=0.95, principals=True)]
        if self.chance(0.7):
            rows[0]["Principal"] = "*"
        if self.chance(0.3):
            rows.append(self.deny(self.dice.choice(("*", "arn:aws:s3:::random-1-*")), principals=True, spared=False))
        return document(rows)

    def of_bucket(self, bucket: str, *, grants: float) -> str:
        both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        rows = [self.deny(both, principals=True) for _ in range(self.dice.choice((0, 0, 0, 1, 1, 2)))]
        if self.chance(grants) or not rows:
            rows.append(self.allow(both, wide=0.6, principals=True))
            rows[-1].pop("NotAction", None)
            rows[-1].setdefault("Action", "s3:*")
        if self.chance(0.3):
            where = {"StringEquals": {"s3:DataAccessPointAccount": self.named.accounts[0]}}
            rows.append({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": both, "Condition": where})
        return document(rows)

    def of_point(self, arn: str) -> str:
        rows = [self.allow([arn, f"{arn}/object/*"], wide=0.7, principals=True)]
        rows[0].pop("NotAction", None)
        rows[0]["Action"] = "s3:*" if self.chance(0.6) else ["s3:GetObject", "s3:PutObject"]
        if rows[0]["Action"] != "s3:*":
            rows[0]["Resource"] = f"{arn}/object/*"
        if self.chance(0.3):
            row = self.deny([arn, f"{arn}/object/*"], principals=True)
            rows.append(row | {"Action": "s3:*"})
        return document(rows)

    def of_key(self, *, accounts: Sequence[str], owner: str) -> str:
        """`accounts` are those whose runners use the key."""
        runners = {"ArnLike": {"aws:PrincipalArn": RUNNERS}}
        whose = {"AWS": list(accounts)}
        rows: list[Json] = [
            {"Effect": "Allow", "Principal": whose, "Action": "kms:*", "Resource": "*", "Condition": runners}
        ]
        if self.chance(0.75):
            rows.append({"Effect": "Allow", "Principal": {"AWS": owner}, "Action": "kms:*", "Resource": "*"})
        if self.chance(0.5):
            grant = {"Effect": "Allow", "Principal": self.principal(), "Action": "kms:*", "Resource": "*"}
            rows.append(grant | self._conditioned(self.conditions(most=1, family=self._of_keys)))
        if self.chance(0.6):
            actions = self.dice.choice(("kms:*", "kms:Decrypt", "kms:GenerateDataKey*", ["kms:Decrypt", "kms:Encrypt"]))
            conditions = {**self.conditions(most=1, family=self._of_keys), **SPARED}
            rows.append(
                {"Effect": "Deny", "Principal": "*", "Action": actions, "Resource": "*", "Condition": conditions}
            )
        return document(rows)

    def of_organization(self, kind: str, *, denies: float) -> str:
        """A service control policy, or a resource control policy: denies alone, which spare those who administer."""
        row = self.deny("*")
        if kind == "RESOURCE_CONTROL_POLICY":
            row["Principal"] = "*"
        of_kms = "kms:GenerateDataKey" if kind == "SERVICE_CONTROL_POLICY" else "kms:Decrypt"
        some = (["s3:Get*", "s3:Put*"], "s3:GetObject", "s3:ListBucket", ["s3:Put*", of_kms])
        row["Action"] = self.dice.choice(("s3:*", "s3:Delete*", *some))
        if not self.chance(denies):
            row["Resource"] = "arn:aws:s3:::nobodys"
        return document([row])


def document(rows: Sequence[Json]) -> str:
    return json.dumps({"Version": VERSION, "Statement": list(rows)})
