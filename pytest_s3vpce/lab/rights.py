"""All the rights that a control-plane call takes: its action on each resource, and what it does as its caller.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html says which resources an action is
asked for, and by which condition keys; each table below names its own source.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_s3vpce.lab.controlplane import Asked, asked_of
from pytest_s3vpce.lab.principals import Principals
from pytest_s3vpce.lab.queryprotocol import form_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_s3vpce.lab.state import State
    from pytest_s3vpce.lab.wire import HttpRequest

    Keys = Mapping[str, str | Sequence[str]]

_PASSED_TO: Final = "iam:PassedToService"
_IMAGE_BY_PARAMETER: Final = "resolve:ssm:"
_AWS_PARAMETER: Final = re.compile(r"/aws/.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose control plane is asked, and where."""

    account: str
    region: str
    partition: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


class Rights:
    """What requests take, read from them and from what there is of the things that they name."""

    def __init__(self, state: State) -> None:
        self._state = state

    def of(self, service: str, request: HttpRequest, *, place: Place) -> tuple[Asked, ...]:
        """Every right that the request takes, in the order of asking; none where it is no operation."""
        first = asked_of(service, request, account=place.account, region=place.region, partition=place.partition)
        if first is None:
            return ()
        given = _given(request)
        rule = _RULES.get(first.action)
        asked = tuple(rule(self, first, given, place)) if rule is not None else (self._placed(first, place),)
        return tuple(replace(one, context={**self._tags_of(one.resource, place), **one.context}) for one in asked)

    # --- what is there -----------------------------------------------------------------------------------------------

    def _placed(self, asked: Asked, place: Place) -> Asked:
        """IAM's resources by their whole ARNs: requests name them without the path. Of an alias the key is meant.

        https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
        """
        _, alias, label = asked.resource.partition(":key/alias/")
        if alias:
            backend = self._state.backends("kms")[place.account][place.region]
            key = backend.get_key_id_from_alias(f"alias/{label}")
            return asked if key is None else replace(asked, resource=place.arn("kms", f"key/{key}"))
        head, slash, name = asked.resource.partition(":role/")
        found = self._people.named(name, kind="role", account=place.account) if slash and "/" not in name else None
        return asked if found is None else replace(asked, resource=f"{head}:role{found.path}{found.name}")

    @property
    def _people(self) -> Principals:
        return Principals(self._state.backends("iam"))

    def _tags_of(self, resource: str, place: Place) -> Keys:
        """`aws:ResourceTag/...` of what is there, and SSM's own name for it."""
        kind, _, name = resource.rpartition(":")[2].partition("/")
        if kind in _TAGGED and name:
            tags = self._ec2_tags(name, place)
            return {
                key: value
                for tag, value in tags.items()
                for key in (f"aws:ResourceTag/{tag}", f"ec2:ResourceTag/{tag}", f"ssm:resourceTag/{tag}")
            }
        if ":organizations:" in resource:
            tags = next((dict(row.tags) for row in self._organized(place) if row.arn == resource), {})
        elif ":function:" in resource:
            tags = self._function_tags(resource, place)
        elif ":role/" in resource:
            role = self._state.role(resource)
            tags = {} if role is None else dict(role.tags)
        else:
            tags = {}
        return {f"aws:ResourceTag/{tag}": value for tag, value in tags.items()}

    def _ec2_tags(self, name: str, place: Place) -> dict[str, str]:
        backend = self._state.backends("ec2")[place.account][place.region]
        return {row["key"]: row["value"] for row in backend.describe_tags({"resource-id": [name]})}

    def _organized(self, place: Place) -> list[Any]:
        """Policies, accounts and units of the organization that the account manages."""
        backend = self._state.backends("organizations")[place.account][place.partition]
        return [*backend.policies, *backend.accounts, *backend.ou]

    def _function_tags(self, arn: str, place: Place) -> dict[str, str]:
        backend = self._state.backends("lambda")[place.account][place.region]
        return next((dict(one.tags or {}) for one in backend.list_functions() if one.function_arn == arn), {})

    # --- what calls do besides ---------------------------------------------------------------------------------------

    def create_function(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions"""
        name = given.get("FunctionName") or "*"
        function = name if str(name).startswith("arn:") else place.arn("lambda", f"function:{name}")
        tags = _request_tags(given.get("Tags"))
        network = given.get("VpcConfig") or {}
        keys: dict[str, Any] = {**tags, **_network_keys(network)}
        yield Asked(action=asked.action, resource=function, context=keys)
        if tags:
            yield Asked(action="lambda:TagResource", resource=function, context=tags)
        yield from self._passed(given.get("Role"), to="lambda.amazonaws.com")
        yield from _looked_up(network)
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
        for action in ("kms:Encrypt", "kms:CreateGrant") if given.get("KMSKeyArn") else ():
            yield Asked(action=action, resource=str(given["KMSKeyArn"]))

    def configure_function(self, asked: Asked, given: Mapping[str, Any], _place: Place) -> Iterator[Asked]:
        """https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html"""
        network = given.get("VpcConfig") or {}
        yield replace(asked, context=_network_keys(network))
        yield from self._passed(given.get("Role"), to="lambda.amazonaws.com")
        yield from _looked_up(network)

    def create_role(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        """https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html"""
        path = given.get("Path") or "/"
        role = f"arn:{place.partition}:iam::{place.account}:role{path}{given.get('RoleName', '')}"
        tags = _request_tags(_tag_list(given, "Tags.member"))
        boundary = given.get("PermissionsBoundary")
        keys = {**tags, **({"iam:PermissionsBoundary": boundary} if boundary else {})}
        yield Asked(action=asked.action, resource=role, context=keys)
        if tags:
            yield Asked(action="iam:TagRole", resource=role, context=tags)

    def change_role(self, asked: Asked, _given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate"""
        named = self._placed(asked, place)
        boundary = self._state.boundary(named.resource)
        yield replace(named, context={"iam:PermissionsBoundary": boundary[0]} if boundary else {})

    def run_instances(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html#iam-example-runinstances"""
        specified = {
            str(given[f"{name}.ResourceType"]): _request_tags(_tag_list(given, f"{name}.Tag"))
            for name in _numbered(given, "TagSpecification")
        }
        profile = self._profile(given, place)
        made: dict[str, Any] = {"instance": {"ec2:InstanceProfile": profile.arn} if profile else {}}
        resources = [place.arn("ec2", f"{kind}/*") for kind in ("instance", "volume", "network-interface")]
        image = str(given.get("ImageId", ""))
        known = "*" if image.startswith(_IMAGE_BY_PARAMETER) else image
        resources.append(f"arn:{place.partition}:ec2:{place.region}::image/{known}")
        resources += [place.arn("ec2", f"subnet/{given[name]}") for name in ("SubnetId",) if name in given]
        resources += [place.arn("ec2", f"security-group/{given[name]}") for name in _numbered(given, "SecurityGroupId")]
        for resource in resources:
            kind = resource.rpartition(":")[2].partition("/")[0]
            context = {**made.get(kind, {}), **specified.get(kind, {})}
            yield Asked(action=asked.action, resource=resource, context=context)
        for kind, tags in specified.items():
            keys = {**tags, "ec2:CreateAction": "RunInstances"}
            yield Asked(action="ec2:CreateTags", resource=place.arn("ec2", f"{kind}/*"), context=keys)
        if image.startswith(_IMAGE_BY_PARAMETER):
            # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-systems-manager-parameter-to-find-AMI.html
            name = image.removeprefix(_IMAGE_BY_PARAMETER).lstrip("/")
            yield Asked(action="ssm:GetParameters", resource=_parameter(f"/{name}", place))
        for role in profile.roles if profile else ():
            yield from self._passed(role.arn, to="ec2.amazonaws.com")

    def on_instances(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        names = [given[name] for name in _numbered(given, "InstanceId")]
        yield from (replace(asked, resource=place.arn("ec2", f"instance/{name}")) for name in names)

    def on_endpoints(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        names = [given[name] for name in _numbered(given, "VpcEndpointId")]
        yield from (replace(asked, resource=place.arn("ec2", f"vpc-endpoint/{name}")) for name in names)

    def in_organization(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        """A policy, and where it is attached.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html
        """
        by_id = {row.id: row.arn for row in self._organized(place)}
        names = [given[name] for name in ("PolicyId", "ResourceId", "TargetId") if name in given]
        yield from (replace(asked, resource=by_id.get(name, "*")) for name in names)

    def tag_resources(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html"""
        tags = _request_tags(_tag_list(given, "Tag"))
        for name in _numbered(given, "ResourceId"):
            kind = _PREFIXES.get(str(given[name]).rpartition("-")[0], "*")
            yield replace(asked, resource=place.arn("ec2", f"{kind}/{given[name]}"), context=tags)

    def send_command(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        """https://docs.aws.amazon.com/systems-manager/latest/userguide/run-command-setting-up.html"""
        document = str(given.get("DocumentName", ""))
        owner = "" if document.startswith("AWS-") else place.account
        yield replace(asked, resource=f"arn:{place.partition}:ssm:{place.region}:{owner}:document/{document}")
        for instance in given.get("InstanceIds") or ("*",):
            yield replace(asked, resource=place.arn("ec2", f"instance/{instance}"))

    def parameters(self, asked: Asked, given: Mapping[str, Any], place: Place) -> Iterator[Asked]:
        yield from (replace(asked, resource=_parameter(str(name), place)) for name in given.get("Names") or ())

    def everything(self, asked: Asked, _given: Mapping[str, Any], _place: Place) -> Iterator[Asked]:
        """An action without resource-level permissions."""
        yield replace(asked, resource="*")

    def _passed(self, role: Any, *, to: str) -> Iterator[Asked]:
        """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"""
        if isinstance(role, str) and role:
            yield Asked(action="iam:PassRole", resource=role, context={_PASSED_TO: to})

    def _profile(self, given: Mapping[str, Any], place: Place) -> Any:
        """The instance profile that a request names; None where it names none, or there is none of that name."""
        arn, name = given.get("IamInstanceProfile.Arn", ""), given.get("IamInstanceProfile.Name", "")
        found = list(self._state.backends("iam")[place.account][place.partition].instance_profiles.values())
        return next((profile for profile in found if profile.arn == arn or profile.name == name), None)


_RULES: Final[Mapping[str, Callable[[Rights, Asked, Mapping[str, Any], Place], Iterator[Asked]]]] = {
    "lambda:CreateFunction": Rights.create_function,
    "lambda:UpdateFunctionConfiguration": Rights.configure_function,
    "iam:CreateRole": Rights.create_role,
    **dict.fromkeys(
        ("iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:AttachRolePolicy", "iam:DetachRolePolicy"),
        Rights.change_role,
    ),
    "ec2:RunInstances": Rights.run_instances,
    "ec2:TerminateInstances": Rights.on_instances,
    "ec2:StartInstances": Rights.on_instances,
    "ec2:StopInstances": Rights.on_instances,
    "ec2:RebootInstances": Rights.on_instances,
    "ec2:DeleteVpcEndpoints": Rights.on_endpoints,
    "ec2:CreateTags": Rights.tag_resources,
    **dict.fromkeys(
        (
            "organizations:AttachPolicy",
            "organizations:DetachPolicy",
            "organizations:DeletePolicy",
            "organizations:ListTargetsForPolicy",
            "organizations:ListTagsForResource",
        ),
        Rights.in_organization,
    ),
    "ssm:SendCommand": Rights.send_command,
    "ssm:GetParameters": Rights.parameters,
    "ssm:GetCommandInvocation": Rights.everything,
    "ssm:CancelCommand": Rights.everything,
    "ssm:DescribeInstanceInformation": Rights.everything,
}
"""Calls that are more than one action on one resource."""
_TAGGED: Final = frozenset({"instance", "security-group", "vpc-endpoint"})
"""Kinds of EC2's whose tags are asked for."""
_PREFIXES: Final = {"i": "instance", "vol": "volume", "subnet": "subnet", "vpc": "vpc", "sg": "security-group"}


def _given(request: HttpRequest) -> dict[str, Any]:
    """What a request carries: its JSON, else its form."""
    try:
        found = json.loads(request.body or b"")
    except ValueError:
        return dict[str, Any](form_of(request))
    return found if isinstance(found, dict) else {}


def _numbered(given: Mapping[str, Any], name: str) -> list[str]:
    """`Name.1`, `Name.2` ... of a form, with whatever they stand before."""
    found = [re.match(rf"{re.escape(name)}\.\d+(?=\.|$)", key) for key in given]
    return list(dict.fromkeys(match[0] for match in found if match))


def _tag_list(given: Mapping[str, Any], name: str) -> dict[str, str]:
    return {str(given[f"{row}.Key"]): str(given.get(f"{row}.Value", "")) for row in _numbered(given, name)}


def _request_tags(tags: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-requesttag"""
    if not isinstance(tags, dict) or not tags:
        return {}
    return {**{f"aws:RequestTag/{key}": str(value) for key, value in tags.items()}, "aws:TagKeys": tuple(tags)}


def _network_keys(network: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#vpc-conditions"""
    named = {"lambda:SubnetIds": "SubnetIds", "lambda:SecurityGroupIds": "SecurityGroupIds"}
    return {key: tuple(network[name]) for key, name in named.items() if network.get(name)}


def _looked_up(network: Mapping[str, Any]) -> Iterator[Asked]:
    """Lambda looks at the network with its caller's rights."""
    if network.get("SubnetIds"):
        for call in ("DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"):
            yield Asked(action=f"ec2:{call}", resource="*")


def _parameter(name: str, place: Place) -> str:
    owner = "" if _AWS_PARAMETER.fullmatch(name) else place.account
    return f"arn:{place.partition}:ssm:{place.region}:{owner}:parameter/{name.lstrip('/')}"
