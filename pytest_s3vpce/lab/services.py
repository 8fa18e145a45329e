"""Moto's services, each loaded when it is first asked for and put right where it differs from AWS."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pytest_s3vpce.lab import accesspoints, lightening
from pytest_s3vpce.lab.principals import Principals, mend_users
from pytest_s3vpce.lab.readying import mend_once, prepare
from pytest_s3vpce.lab.refused import not_served
from pytest_s3vpce.lab.s3application import application

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.lab.resources import BucketState, RunnerKeys
    from pytest_s3vpce.lab.wsgi import Application

_EVERY_LABS = ("s3", "iam", "ec2", "s3control", "lambda")


class Services:
    """Loads services; safe to use from several threads, which wait for one that is being loaded."""

    def __init__(
        self, *, home_of: Callable[[str], BucketState | None], vpc_of: Callable[[str, str, str], str | None]
    ) -> None:
        self._home_of = home_of
        self._vpc_of = vpc_of
        self._loading = threading.RLock()
        self._apps: dict[str, Application] = {}
        self._loaded: dict[str, Any] = {}
        self._runners: list[tuple[RunnerKeys, str]] = []
        """Those of accounts that were made before IAM was loaded."""

    def load(self) -> None:
        """Load what every lab needs, what is asked for first coming first."""
        for service in _EVERY_LABS:
            self.application(service)

    def is_loaded(self, service: str) -> bool:
        return service in self._loaded

    def application(self, service: str) -> Application:
        """What answers the service's requests."""
        application = self._apps.get(service)
        if application is None:
            with self._loading:
                if service not in self._apps:
                    self._apps[service] = self._load(service)
                application = self._apps[service]
        return application

    def _load(self, service: str) -> Application:
        self.backends(service)
        if service == "s3":
            return _s3_application()
        from moto.moto_server.werkzeug_app import create_backend_app

        application: Application = create_backend_app(service)
        return application

    def backends(self, service: str) -> Any:
        """All accounts' objects of a service."""
        found = self._loaded.get(service)
        if found is None:
            with self._loading:
                if service not in self._loaded:
                    self._loaded[service] = self._import(service)
                found = self._loaded[service]
        return found

    def add_runner(self, keys: RunnerKeys, *, region: str) -> None:
        """Make an account's runner: at once, or as soon as somebody asks IAM for anything."""
        with self._loading:
            if self.is_loaded("iam"):
                Principals(self.backends("iam")).make_runner(keys, region=region)
            else:
                self._runners.append((keys, region))

    def _import(self, service: str) -> Any:
        prepare()
        from moto import backends

        try:
            with lightening.offerings_when_asked() if service == "ec2" else nullcontext():
                found = backends.get_backend(service)
        except (ImportError, AttributeError, KeyError) as unknown:
            raise not_served(service) from unknown
        mend = _MENDINGS.get(service)
        if mend is not None:
            mend(self)
        while service == "iam" and self._runners:
            keys, region = self._runners[0]
            Principals(found).make_runner(keys, region=region)
            self._runners.pop(0)  # not before: one that could not be made is tried again
        return found

    def mend_s3(self) -> None:
        from moto.iam.access_control import PermissionResult
        from moto.s3.models import (
            FakeBucket,
            FakeDeleteMarker,
            FakeKey,
            FakeMultipart,
            PublicAccessBlock,
            S3Backend,
        )
        from moto.s3.responses import S3Response
        from moto.s3.utils import _VersionedKeyStore

        from pytest_s3vpce.lab import listing, mending, versions

        def mend() -> None:
            mending.mend_buckets(FakeBucket, permitted=PermissionResult.PERMITTED, block_class=PublicAccessBlock)
            mending.mend_objects(FakeKey)
            mending.mend_locks(S3Backend)
            versions.mend_versions(S3Backend, marker_class=FakeDeleteMarker)
            listing.mend_listings(S3Backend, marker_class=FakeDeleteMarker)
            listing.mend_stores(_VersionedKeyStore)
            listing.mend_answers(S3Response, upload_class=FakeMultipart)

        mend_once(FakeBucket, mend)

    def mend_ec2(self) -> None:
        from moto.ec2.models import EC2Backend
        from moto.ec2.models.elastic_ip_addresses import ElasticAddress
        from moto.ec2.models.elastic_network_interfaces import NetworkInterface
        from moto.ec2.models.nat_gateways import NatGateway
        from moto.ec2.models.route_tables import Route
        from moto.ec2.models.subnets import Subnet
        from moto.ec2.models.vpcs import VPCEndPoint
        from moto.ec2.responses import EC2Response
        from moto.ec2.utils import random_public_ip

        from pytest_s3vpce.lab import clienttokens, flowrecords, mending, vpcendpoints

        def mend() -> None:
            clienttokens.mend_launches(EC2Response)
            vpcendpoints.mend_endpoints(VPCEndPoint, backend_class=EC2Backend, response_class=EC2Response)
            mending.mend_subnets(Subnet)
            mending.mend_interfaces(NetworkInterface)
            mending.mend_routes(Route)
            flowrecords.mend_flow_logs(EC2Backend)
            mending.mend_addresses(
                nat_class=NatGateway, backend_class=EC2Backend, address_class=ElasticAddress, public=random_public_ip
            )

        mend_once(EC2Backend, mend)

    def mend_lambda(self) -> None:
        from moto.awslambda.models import LambdaFunction

        from pytest_s3vpce.lab import mending

        mending.mend_functions(LambdaFunction, vpc_of=self._vpc_of)

    def mend_iam(self) -> None:
        from moto.core.responses import EmptyResult
        from moto.iam import models
        from moto.iam.exceptions import MalformedPolicyDocument
        from moto.iam.models import User
        from moto.iam.responses import IamResponse

        from pytest_s3vpce.lab import mending

        def mend() -> None:
            mending.mend_documents(models, malformed=MalformedPolicyDocument)
            lightening.share_managed_policies()
            mend_users(User, IamResponse, done=EmptyResult)

        mend_once(User, mend)

    def mend_organizations(self) -> None:
        from moto.organizations.models import OrganizationsBackend

        from pytest_s3vpce.lab import organizations

        iam = self.backends("iam")
        mend_once(OrganizationsBackend, lambda: organizations.mend_accounts(OrganizationsBackend, iam=iam))

    def mend_cloudtrail(self) -> None:
        from moto.cloudtrail.models import Trail

        from pytest_s3vpce.lab import mending

        mend_once(Trail, lambda: mending.mend_selectors(Trail))

    def mend_kms(self) -> None:
        from moto.kms import responses

        from pytest_s3vpce.lab import mending

        mend_once(responses.KmsResponse, lambda: mending.mend_keys(responses))

    def mend_s3control(self) -> None:
        from moto.s3control.models import S3ControlBackend

        mend_once(S3ControlBackend, lambda: accesspoints.mend(S3ControlBackend, home_of=self._home_of))


def _s3_application() -> Application:
    from moto.core.request import Request
    from moto.s3.responses import S3Response
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response

    return application(S3Response, request_class=Request, response_class=Response, failure_class=HTTPException)


_MENDINGS: Mapping[str, Callable[[Services], None]] = {
    "s3": Services.mend_s3,
    "ec2": Services.mend_ec2,
    "lambda": Services.mend_lambda,
    "iam": Services.mend_iam,
    "organizations": Services.mend_organizations,
    "s3control": Services.mend_s3control,
    "cloudtrail": Services.mend_cloudtrail,
    "kms": Services.mend_kms,
}
