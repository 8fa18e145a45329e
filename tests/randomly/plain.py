"""Random lines of the decide format, made from small pools so that policies and requests often meet.

Left out, because the documentation is silent or leaves it to a live finding: several values of a key without a set
operator, empty strings and lists, wildcards inside values that variables bring in, malformed numbers, dates and
addresses, NotPrincipal with Allow, incomplete ARNs, keys whose value for services or anonymous callers is unsettled,
a session policy of root's, private ranges in `aws:SourceIp` of a public statement.
"""

from __future__ import annotations

import random
from typing import Any

from tests.randomly.pools import (
    ACTIONS,
    ASKED,
    BEHIND,
    FEDERATED,
    FIXING,
    FOREIGN,
    FULL,
    KEYS,
    NAMED,
    OTHER,
    OWN,
    OWNER,
    PATHED,
    PATHED_ROLE,
    PLAIN,
    RESOURCES,
    SERVICE,
    SESSION,
    SEVERAL,
    STRINGS,
    TRUST,
    UNSETTLED,
    USER,
    WIDE_ACTIONS,
    WIDE_RESOURCES,
    Json,
)


class Maker:
    """One random line: the number decides everything."""

    keys: tuple[str, ...] = PLAIN
    callers: tuple[tuple[str, ...], ...] = (OWN, OWN, OWN, FOREIGN, FOREIGN)
    actions: tuple[Any, ...] = ACTIONS
    wide_actions: tuple[Any, ...] = WIDE_ACTIONS
    resources: tuple[Any, ...] = RESOURCES

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
        self.caller = self.random.choice(self.random.choice(self.callers))
        if self.caller == "anonymous" or self.caller.startswith("service:"):
            self.keys = tuple(key for key in self.keys if key not in UNSETTLED)
        action, resources = self.ask()
        request = {
            "action": action,
            "resource": self.random.choice(resources),
            "resource_account": OWNER,
            "principal": self.caller,
            "context": self.context(),
        }
        made = {"id": str(self.number), "request": request, "policies": self.policies()}
        self.finish(made)
        return made

    def ask(self) -> tuple[str, tuple[str, ...]]:
        return TRUST if self.chance(0.06) else self.random.choice(ASKED)

    def finish(self, line: Json) -> None:
        """What a special kind of request adds or takes away."""

    def context(self) -> Json:
        carried: Json = {}
        for key in dict.fromkeys(self.keys):
            values = KEYS[key][0]
            if key != SEVERAL and values and self.chance(0.6):
                value = self.random.choice(values)
                carried[key.upper() if self.chance(0.1) else key] = [value] if self.chance(0.1) else value
        if self.caller == PATHED:
            carried[self.random.choice(("aws:PrincipalArn", "AWS:principalarn"))] = PATHED_ROLE
        if SEVERAL in self.keys and self.chance(0.6):
            carried[SEVERAL] = self.random.sample(KEYS[SEVERAL][0], self.random.randint(1, 3))
        return carried

    def policies(self) -> Json:
        inside = self.caller in OWN
        sessions = 0.8 if self.caller == FEDERATED else 0.35
        made: Json = {
            "identity": self.maybe(0.87, lambda: self.named(0.85)),
            "permissions_boundary": self.maybe(0.45, lambda: self.named(0.6)),
            "session": self.maybe(sessions, lambda: self.named(0.65)),
            "resource": self.maybe(0.5 if inside else 0.92, lambda: self.with_principals(0.3 if inside else 0.85)),
            "vpc_endpoint": self.maybe(0.3, lambda: self.with_principals(0.9, everyone=0.8)),
            "scps": self.maybe(0.5, self.levels),
            "rcps": self.maybe(0.25, self.rcp_levels),
        }
        if self.caller.endswith(":root"):
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
            wide = {"Effect": "Allow", "Action": self.random.choice(self.wide_actions)}
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
        everything = {"Action": "*", "Resource": "*"}
        if self.chance(0.08):
            document["Statement"].append({"Effect": "Deny", "NotPrincipal": self.spared()} | everything)
        if self.caller in BEHIND and self.chance(0.12):
            names_caller = {"AWS": self.random.choice(BEHIND[self.caller])}
            document["Statement"].append({"Effect": "Allow", "Principal": names_caller} | everything)
        return document

    def perhaps_public(self) -> Json:
        """Everyone, under a condition that may or may not fix who that is."""
        known = [key for key in self.keys if key in FIXING]
        key = "aws:SourceIp" if self.chance(0.3) else self.random.choice(known)
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
        made[name] = self.some(self.actions) if narrow_action else self.random.choice(self.wide_actions)
        name = "NotResource" if narrow_resource and self.chance(0.2) else "Resource"
        made[name] = self.some(self.resources) if narrow_resource else self.random.choice(WIDE_RESOURCES)
        if self.chance(0.75):
            made["Condition"] = self.conditions()
        return made

    def conditions(self) -> Json:
        made: Json = {}
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            if SEVERAL in self.keys and self.chance(0.15):
                key, wanted = SEVERAL, self.some(KEYS[SEVERAL][2])
                operator = self.random.choice(("ForAllValues:", "ForAnyValue:")) + self.random.choice(STRINGS)
            else:
                key = self.random.choice([key for key in self.keys if key != SEVERAL])
                _, operators, pool = KEYS[key]
                wanted = self.some(pool)
                operator = self.random.choice(("", "", "", "", "", "ForAllValues:", "ForAnyValue:"))
                operator += self.random.choice(operators)
            operator += "IfExists" if self.chance(0.2) else ""
            if self.chance(0.1):
                operator, wanted = "Null", self.random.choice(("true", "false", True, False))
            made.setdefault(operator, {})[key] = wanted
        return made
