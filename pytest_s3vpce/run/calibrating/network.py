"""Where a calibration's function stands inside of a VPC, and the interface endpoints that are made there for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pytest_s3vpce.errors import RunError
from pytest_s3vpce.network.names import names, suffix
from pytest_s3vpce.network.path import Destination, Dropped, Source, resolve
from pytest_s3vpce.probe import Host
from pytest_s3vpce.snapshot.paths import network
from pytest_s3vpce.vantage.control import FAULTS, words_of
from pytest_s3vpce.vantage.deployment import resource_name
from pytest_s3vpce.vantage.ledger import Kind
from pytest_s3vpce.vantage.removal import MARK, endpoint_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_s3vpce.vantage import ControlPlane, DeployedLambdaVantage, Ledger

_CLEAR: Final = 80
_PORTS: Final = (_CLEAR, 443)
_TRIES: Final = 60
_PAUSE: Final = 5.0
_AVAILABLE: Final = "available"


class Network:
    """The function's own: its subnet and security groups are those of a vantage point of the inventory."""

    def __init__(
        self,
        control: ControlPlane,
        *,
        function: DeployedLambdaVantage,
        run_id: str,
        tags: Mapping[str, str],
        ledger: Ledger,
        notify: Callable[[str], None],
    ) -> None:
        self.region = control.region
        self._control = control
        self._function = function
        self._run_id = run_id
        self._tags = tags
        self._ledger = ledger
        self._notify = notify
        self._endpoints: dict[str, str] = {}
        self._hosts: dict[str, Host] = {}

    @property
    def _ec2(self) -> Any:
        return self._control.client("ec2")

    def _place(self) -> Mapping[str, Any]:
        """As Lambda says that the function stands."""
        client = self._control.client("lambda")
        found: Mapping[str, Any] = client.get_function_configuration(FunctionName=self._function.function)["VpcConfig"]
        return found

    def endpoints(self) -> dict[str, str]:
        """The endpoints for S3 in the function's Region that its VPC has, and their types, in lower case."""
        rows = self._ec2.describe_vpc_endpoints(
            Filters=[
                {"Name": "vpc-id", "Values": [self._place()["VpcId"]]},
                {"Name": "service-name", "Values": [f"com.amazonaws.{self.region}.s3"]},
            ]
        )["VpcEndpoints"]
        return {row["VpcEndpointId"]: row["VpcEndpointType"].lower() for row in rows}

    def why_closed(self, host: Host, *, near: str, account_id: str) -> str:
        """Why the network itself lets nothing from there, at `near`, through to port 80; empty where it does."""
        topology = network(self._ec2, region=self.region, account_id=account_id)
        if topology is None:
            return "the network may not be described"
        name = urlsplit(host.endpoint_url or "").hostname or f"s3.{self.region}.{suffix(self.region)}"
        aim = names(self.region, topology=topology).find(name)
        if aim is None:
            return f"`{name}` does not resolve"
        to = Destination(service=aim.service, region=self.region, port=_CLEAR, form=aim.form, label=aim.label)
        place = self._place()
        for subnet in place["SubnetIds"]:
            groups = tuple(place["SecurityGroupIds"])
            source = Source(subnet_id=subnet, security_group_ids=groups, private_ip=near.rpartition(":")[0])
            found = resolve(topology, source=source, destination=to)
            if isinstance(found, Dropped):
                return found.reason
        return ""

    def make_endpoint(self, region: str) -> Host:
        """An interface endpoint for S3 in that Region, one for all, under a name of its own.

        What else is in the VPC stays as it is:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html
        """
        try:
            if region not in self._hosts:
                self._hosts[region] = self._made(region)
        except FAULTS as error:
            raise RunError(
                f"a calibration can't make an endpoint: {words_of(error)}", remedy="leave --with-endpoint out"
            ) from error
        return self._hosts[region]

    def _made(self, region: str) -> Host:
        place, name = self._place(), resource_name(self._run_id, f"calibration-{region}")
        group = self._make_group(name, place)
        elsewhere = {"ServiceRegion": region} if region != self.region else {}
        self._notify(f"creating {Kind.VPC_ENDPOINT.value} {name}")
        entry = self._creating(Kind.VPC_ENDPOINT, name)
        made = self._ec2.create_vpc_endpoint(
            VpcEndpointType="Interface",
            VpcId=place["VpcId"],
            ServiceName=f"com.amazonaws.{region}.s3",
            SubnetIds=place["SubnetIds"][:1],
            SecurityGroupIds=[group],
            PrivateDnsEnabled=False,
            TagSpecifications=[self._tagged("vpc-endpoint", name)],
            **elsewhere,
        )["VpcEndpoint"]["VpcEndpointId"]
        self._ledger.given(entry, made)
        self._endpoints[region] = made
        return Host(endpoint_url=f"https://bucket.{self._name_of(made)}")

    def _make_group(self, name: str, place: Mapping[str, Any]) -> str:
        """It lets in the function's groups, by both ports of S3."""
        self._notify(f"creating {Kind.SECURITY_GROUP.value} {name}")
        entry = self._creating(Kind.SECURITY_GROUP, name)
        group: str = self._ec2.create_security_group(
            GroupName=name,
            Description="made by s3vpce calibrate",
            VpcId=place["VpcId"],
            TagSpecifications=[self._tagged("security-group", name)],
        )["GroupId"]
        self._ledger.given(entry, group)
        pairs = [{"GroupId": each} for each in place["SecurityGroupIds"]]
        rules = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": pairs} for port in _PORTS]
        self._ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
        return group

    def set_policy(self, policy: str) -> None:
        """Of the endpoint in the function's own Region."""
        self._ec2.modify_vpc_endpoint(VpcEndpointId=self._endpoints[self.region], PolicyDocument=policy)

    def _name_of(self, endpoint: str) -> str:
        for _ in range(_TRIES):
            for row in endpoint_rows(self._ec2, endpoint):
                if row["State"].lower() == _AVAILABLE:
                    return str(row["DnsEntries"][0]["DnsName"]).removeprefix("*.")
            time.sleep(_PAUSE)
        raise RunError(f"the endpoint `{endpoint}` was not available in time")

    def _creating(self, kind: Kind, name: str) -> Any:
        return self._ledger.creating(kind, account=self._control.account, region=self.region, identifier=name)

    def _tagged(self, what: str, name: str) -> dict[str, Any]:
        rows = {**self._tags, MARK: name}
        return {"ResourceType": what, "Tags": [{"Key": key, "Value": value} for key, value in rows.items()]}
