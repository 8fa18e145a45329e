"""The lab's account state, held by moto in this process: requests go in as HTTP, decisions read it directly.

With `services`, which loads moto, this is the only module that knows it; `self_check` names what upgrades break.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab import faultdocuments, organizations, reading
from pytest_s3vpce.lab.principals import Principals, runner_of
from pytest_s3vpce.lab.readying import is_region, no_region
from pytest_s3vpce.lab.refused import Refused, not_served
from pytest_s3vpce.lab.resources import partition_of
from pytest_s3vpce.lab.services import Services
from pytest_s3vpce.lab.wsgi import environ_of, hide_form, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_s3vpce.lab.compute import FunctionSpec
    from pytest_s3vpce.lab.organizations import Membership
    from pytest_s3vpce.lab.resources import (
        BucketState,
        FunctionState,
        PublicAccessBlock,
        RoleState,
        RunnerKeys,
        UserKey,
    )
    from pytest_s3vpce.lab.wire import HttpRequest, HttpResponse
    from pytest_s3vpce.network.topology import Topology

_LOG = logging.getLogger(__name__)
# Names in credential scopes that are other names here.
_SERVICES = {
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
}
# What can't change the network; every other request makes the known topologies stale.
_APART = frozenset({"s3", "s3control", "sts", "iam", "lambda", "ssm", "kms", "logs"})


class State:
    """All accounts of the lab. Safe to use from several threads."""

    def __init__(self) -> None:
        self._services = Services(home_of=self.bucket, vpc_of=self._vpc_of)
        self._listeners: list[Callable[[], None]] = []
        self._version = 0
        self._topologies: dict[tuple[str, str], tuple[int, Topology]] = {}

    # requests

    def call(
        self,
        service: str,
        request: HttpRequest,
        *,
        account: str,
        region: str,
        target: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> HttpResponse:
        """The answer of the account's service; `target`, `body` and `headers` override what was sent.

        Nothing is checked here: who may do this was decided before.
        """
        name = _SERVICES.get(service, service)
        try:
            body = self._checked(name, request, account=account, region=region, body=body)
            environ = environ_of(
                request, service=name, account=account, region=region, target=target, body=body, headers=headers
            )
            response = self._run(name, environ)
        except Refused as refused:
            return faultdocuments.document(refused, service=name, request=request)
        self._changed(name, request)
        return response

    def _run(self, service: str, environ: dict[str, Any]) -> HttpResponse:
        hide_form(environ)
        try:
            return run(self._services.application(service), environ)
        except NotImplementedError as missing:
            raise not_served(service) from missing
        except Refused:
            raise
        except Exception as failure:  # whatever it is, the client gets an answer of the service's kind
            _LOG.exception("the account state failed at a request to %s", service)
            message = "The lab's account state failed at this request."
            raise Refused("InternalError", status=500, message=message) from failure

    def _checked(
        self, service: str, request: HttpRequest, *, account: str, region: str, body: bytes | None
    ) -> bytes | None:
        if not is_region(region):
            message = "Credential should be scoped to a valid region."
            raise Refused("SignatureDoesNotMatch", status=403, message=message)
        sent = request.body if body is None else body
        if service == "ec2":
            from pytest_s3vpce.lab import vpcendpoints

            return vpcendpoints.endpoint_form(sent, topology=lambda: self.topology(account, region))
        if service == "lambda" and request.method in {"POST", "PUT"} and b"VpcConfig" in sent:
            from pytest_s3vpce.lab import mending

            mending.check_function_network(sent, topology=lambda: self.topology(account, region))
        return body

    def on_network_change(self, listener: Callable[[], None]) -> None:
        """Call this after every request that may have changed the network."""
        self._listeners.append(listener)

    def _changed(self, service: str, request: HttpRequest) -> None:
        reads = service == "ec2" and (b"Action=Describe" in request.body or b"Action=Get" in request.body)
        if service in _APART or reads:
            return
        self._version += 1
        for listener in self._listeners:
            listener()

    # loading

    def load(self) -> None:
        """Load the services that every lab needs."""
        self._services.load()

    def backends(self, service: str) -> Any:
        """All accounts' objects of a service; loaded and mended at the first use."""
        return self._services.backends(service)

    def is_loaded(self, service: str) -> bool:
        """Of one that is not, nobody has asked for anything yet: it is empty."""
        return self._services.is_loaded(service)

    def _vpc_of(self, account: str, region: str, subnet_id: str) -> str | None:
        subnet = self.topology(account, region).subnet(subnet_id)
        return subnet.vpc_id if subnet else None

    def self_check(self) -> list[str]:
        """What an upgrade of moto has broken; nothing as long as all is well."""
        from pytest_s3vpce.lab.selfcheck import self_check

        return self_check(self)

    # reading S3

    def bucket(self, name: str) -> BucketState | None:
        found = self._bucket(name)
        return None if found is None else reading.bucket(found, name=name)

    def _bucket(self, name: str) -> Any:
        if not self.is_loaded("s3"):
            return None
        backends = self.backends("s3")
        owner = backends.bucket_accounts.get(name)
        if owner is None:
            return None
        partition, account = owner
        return backends[account][partition].buckets.get(name)

    def account_public_access_block(self, account: str, region: str) -> PublicAccessBlock | None:
        backend = self.backends("s3control")[account][partition_of(region)]
        return reading.public_access_block(backend.public_access_block)

    def stored(self, bucket: str, key: str | None = None, version: str | None = None) -> Any:
        """A bucket, or a version of a key, as the state behind holds it; None where there is none."""
        found = self._bucket(bucket)
        return found if key is None else reading.newest(found, key, version)

    def object_tags(self, bucket: str, key: str, version: str | None = None) -> Mapping[str, str]:
        home = self._bucket(bucket)
        found = reading.newest(home, key, version)
        if not hasattr(found, "etag"):
            return {}
        tagger = self.backends("s3")[home.account_id][home.partition].tagger
        return dict(tagger.get_tag_dict_for_resource(found.arn))

    def is_delete_marker(self, bucket: str, key: str, version: str | None = None) -> bool:
        newest = self.stored(bucket, key, version)
        return newest is not None and not hasattr(newest, "etag")

    def object_exists(self, bucket: str, key: str, version: str | None = None) -> bool:
        return self._object(bucket, key, version) is not None

    def object_etag(self, bucket: str, key: str, version: str | None = None) -> str | None:
        found = self._object(bucket, key, version)
        return None if found is None else str(found.etag)

    def _object(self, bucket: str, key: str, version: str | None) -> Any:
        """The object; None where there is none or its newest version is a delete marker."""
        newest = self.stored(bucket, key, version)
        return newest if hasattr(newest, "etag") else None

    def upload_exists(self, bucket: str, key: str, upload_id: str) -> bool:
        found = self._bucket(bucket)
        upload = None if found is None else found.multiparts.get(upload_id)
        return upload is not None and upload.key_name == key

    # IAM

    def role(self, role_arn: str) -> RoleState | None:
        return self._people.role(role_arn)

    def trust_policy(self, role_arn: str) -> str | None:
        role = self.role(role_arn)
        return None if role is None else role.trust_policy

    def identity_policies(self, arn: str) -> tuple[tuple[str, str], ...] | None:
        """Name and text of every identity policy of a role or user; None where there is no such principal."""
        return self._people.identity_policies(arn)

    def boundary(self, arn: str) -> tuple[str, str] | None:
        """ARN and text of a role's or user's permissions boundary; one that does not exist allows nothing."""
        return self._people.boundary(arn)

    def is_missing(self, arn: str) -> bool:
        """Whether this would be a user or role of an account of the lab's, and is none."""
        return self._people.is_missing(arn)

    def managed_policy(self, policy_arn: str, *, account: str) -> str | None:
        """The text of a managed policy of this account or of AWS; None where there is none."""
        return self._people.managed_policy(policy_arn, account=account)

    def access_key(self, access_key_id: str) -> UserKey | None:
        """An active key of a user of any account."""
        return self._people.access_key(access_key_id)

    def make_account(self, account: str, region: str) -> RunnerKeys:
        """An account's administrator role and the user that may assume it, both named `s3vpce-runner`."""
        keys = runner_of(account, region)
        self._services.add_runner(keys, region=region)
        return keys

    @property
    def _people(self) -> Principals:
        return Principals(self.backends("iam"))

    def membership(self, account: str) -> Membership | None:
        """The account's place in its organization; None where it is in none."""
        if not self.is_loaded("organizations"):
            return None
        return organizations.membership(self.backends("organizations"), account)

    def enroll(self, account: str, *, management_account: str, name: str, parent: str) -> None:
        """Put an account that is there into an organization, below this parent."""
        backends = self.backends("organizations")
        organizations.enroll(backends, account, management_account=management_account, name=name, parent=parent)

    # reading EC2 and Lambda

    def topology(self, account: str, region: str) -> Topology:
        """The network of an account and Region, read anew after each request that may have changed it."""
        version = self._version
        known = self._topologies.get((account, region))
        if known is not None and known[0] == version:
            return known[1]
        fresh = self.read_topology(account, region)
        self._topologies[account, region] = (version, fresh)
        return fresh

    def topologies_beside(self, account: str, region: str) -> Iterator[Topology]:
        """The networks of all other accounts and Regions that have been used."""
        for other, regions in list(self.backends("ec2").items()):
            for place in list(regions):
                if (other, place) != (account, region):
                    yield self.topology(other, place)

    def read_topology(self, account: str, region: str) -> Topology:
        try:
            backend = self.backends("ec2")[account][region]
        except KeyError as unknown:
            raise no_region(region) from unknown
        return reading.topology(backend, account=account, region=region)

    def subnet_home(self, subnet_id: str) -> tuple[str, str] | None:
        """Account and Region of a subnet; None where there is no such subnet."""
        for account, regions in list(self.backends("ec2").items()):
            for region, backend in list(regions.items()):
                if any(subnet_id in zone for zone in list(backend.subnets.values())):
                    return account, region
        return None

    def default_group(self, account: str, region: str, vpc_id: str) -> str | None:
        """The security group that interfaces of the VPC get which name none."""
        groups = list(self.backends("ec2")[account][region].groups[vpc_id].values())
        return next((group.id for group in groups if group.name == "default"), None)

    def function_policy(self, spec: FunctionSpec) -> str | None:
        """The function's resource policy: who may invoke it besides its own account."""
        policy = self.backends("lambda")[spec.account][spec.region].get_function(spec.name).policy
        return reading.function_policy(list(policy.statements))

    def function(
        self, account: str, region: str, name_or_arn: str, *, qualifier: str | None = None
    ) -> FunctionState | None:
        """A function by name, partial or full ARN: its newest code, or what the qualifier names, in the name or beside.

        None where there is none.
        """
        name, _, version = name_or_arn.rpartition("function:")[2].partition(":")
        from moto.awslambda.exceptions import UnknownFunctionException

        try:
            found = self.backends("lambda")[account][region].get_function(name, version or qualifier)
        except (UnknownFunctionException, KeyError):
            return None
        return reading.function(found, account=account, region=region)
