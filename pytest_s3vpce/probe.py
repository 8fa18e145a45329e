"""From a cell to a finished, signed request: botocore serialises and signs, nothing is sent from here."""

from __future__ import annotations

import os
import time
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ParamValidationError

from pytest_s3vpce.errors import S3VpceError
from pytest_s3vpce.filling import filled
from pytest_s3vpce.model import Cell, SignedRequest, Transport
from pytest_s3vpce.operations import Form, Operation, Resource, operation
from pytest_s3vpce.presigning import presigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.awsrequest import AWSPreparedRequest
    from botocore.client import BaseClient

    from pytest_s3vpce.presigning import Presign

# botocore adds these after signing; they tell S3 nothing and would differ between two signings of one request.
_UNSIGNED_EXTRAS: Final = frozenset({"amz-sdk-invocation-id", "amz-sdk-request"})

_OURS: Final = frozenset({"ExpectedBucketOwner", "Key", "RequestPayer"})
"""Parameters that each request gets which takes them."""

_LOCKS: Final = "ObjectLock"
"""How parameters begin that lock an object: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""

ANSWER_BYTES: Final = 4096
"""Of an answer's body this much comes back: S3's errors and a canary fit, and hundreds of answers fit one invoke."""

# https://boto3.amazonaws.com/v1/documentation/api/latest/guide/configuration.html and botocore's own behaviour:
# `max_attempts: 1` would send twice; us-east-1 would still use the global host, outside private DNS; SigV2 query
# authentication would stand in for SigV4; a default checksum would turn the body into aws-chunked with a trailer;
# beside a digest of the body the signature would leave the body out, which policies can see.
_S3_OPTIONS: Final[Any] = {
    "addressing_style": "virtual",
    "us_east_1_regional_endpoint": "regional",
    "payload_signing_enabled": True,
    "use_arn_region": True,
    "use_accelerate_endpoint": False,
}
_NOBODYS: Final = {
    name: (None, None, default, None)
    for name, default in (
        ("profile", None),
        ("config_file", os.devnull),
        ("credentials_file", os.devnull),
    )
}
"""A request is what its cell says: no profile of the user's, and nothing of its configuration, has a part in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Keys of one principal's session; its repr shows the key id alone."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    """In seconds since the epoch; None where they do not, or nobody said."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What boto3's Session takes."""
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_session_token": self.session_token,
        }

    def ends_within(self, seconds: float) -> bool:
        """Whether they end that soon."""
        return self.expires_at is not None and self.expires_at < time.time() + seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A cell and the session it is signed with: the principal's own, or one limited by an inline session policy.

    Equality goes by the cell's id and the policy's text, so that one probe serves every claim that asks for it.
    """

    cell: Cell
    session_policy: str = ""
    canary_range: str = field(default="", compare=True)
    """A byte range that takes the place of the form's, for reading a canary whole."""
    any_owner: bool = False
    """Sent whoever owns the bucket, else S3 refuses it where that is not who the inventory says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """By what name S3 is reached: the Region's own, one of its variants, another endpoint, or an access point."""

    endpoint_url: str | None = None
    """An endpoint of its own (an interface endpoint's `https://bucket.vpce-…`), without a scheme's change of ours."""
    dualstack: bool = False
    fips: bool = False
    access_point: str | None = None
    """Its ARN, which takes the bucket's place; botocore makes the host of it."""

    @classmethod
    def of(cls, text: str) -> Host:
        """A host as the inventory writes it: a name, `https://NAME`, a variant's word or an access point's ARN."""
        if text.startswith("arn:"):
            return cls(access_point=text)
        variants = text.split("-")
        if set(variants) <= {"dualstack", "fips"}:
            return cls(dualstack="dualstack" in variants, fips="fips" in variants)
        return cls(endpoint_url=text if text.startswith("https://") else f"https://{text}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a probe goes, resolved: the bucket's real name, its owner and Region, the key and the endpoint."""

    bucket: str
    owner: str | None
    region: str
    key: str
    host: Host = Host()
    canary_body: bytes | None = None
    """The canary's bytes as its reader got them; without them no write is signed."""
    absent_key: str = ""
    run_key: str = ""
    requester_pays: bool = False
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html"""
    canary_version: str | None = None
    """The canary's version id as its reader got it, `null` in a bucket without versions."""


class _Captured(Exception):  # noqa: N818 - not an error: it carries the finished request out of botocore
    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__("captured")
        self.request = request


def _capture(request: AWSPreparedRequest, **_: Any) -> None:
    raise _Captured(request)


def form_of(cell: Cell, row: Operation) -> Form:
    """The form a cell is sent in; TargetError-free: S3VpceError says what to set where there is none."""
    if cell.mutating:
        if row.mutating is None:
            raise S3VpceError(f"operation `{row.name}` has no mutating form", remedy="leave `mutating` out")
        return row.mutating
    if row.safe is None:
        hint = "it has a mutating form: set `mutating: true`" if row.mutating else row.unsafe
        raise S3VpceError(f"operation `{row.name}` has no form that changes nothing", remedy=hint)
    if not row.safe.documented and row.writes and not row.on_object and not cell.inferred:
        raise S3VpceError(
            f"the safe form of `{row.name}` is inferred, not documented", remedy="set `inferred: true` to send it"
        )
    return row.safe


def parameters_of(probe: Probe, row: Operation, form: Form, destination: Destination) -> dict[str, Any]:
    """boto3's parameters of a probe: its form's and the cell's own, with what stands for the canary filled in."""
    parameters: dict[str, Any] = {**form.parameters, **probe.cell.parameters}
    if probe.canary_range:
        parameters["Range"] = probe.canary_range
    if any(requirement.resource is not Resource.NONE for requirement in row.requires):
        parameters.setdefault("Bucket", destination.host.access_point or destination.bucket)
        if destination.owner and not probe.any_owner:
            parameters.setdefault("ExpectedBucketOwner", destination.owner)
    if row.on_object:
        parameters.setdefault("Key", destination.key)
    if destination.requester_pays:
        parameters.setdefault("RequestPayer", "requester")
    return {name: filled(value, destination) for name, value in parameters.items()}


class ProbeBuilder:
    """Builds signed requests; keeps one botocore client per (Region, endpoint, transport). Not for several threads.

    A client takes 20 ms to make and a run has dozens of sessions, so all sign through one session's credentials,
    which are set before each call.
    """

    def __init__(self, *, user_agent: str, loader: Any = None) -> None:
        self._session = botocore.session.Session(session_vars=_NOBODYS)
        if loader is not None:
            self._session.register_component("data_loader", loader)
        self._session.set_credentials("unset", "unset", "unset")
        self._user_agent = user_agent
        self._clients: dict[tuple[bool, str, Host, str], BaseClient] = {}
        self._document: bytes | None = None

    def warm(self, region: str) -> None:
        """Makes the clients that most requests of a Region use, ahead of time: botocore loads its model first."""
        self._client(None, Destination(bucket="", owner=None, region=region, key=""), Transport.HTTPS)
        unset = Credentials(access_key_id="unset", secret_access_key="unset")  # noqa: S106 - stands for any keys
        self._client(unset, Destination(bucket="", owner=None, region=region, key=""), Transport.HTTPS)

    def build(
        self,
        probe: Probe,
        *,
        request_id: str,
        destination: Destination,
        credentials: Credentials | None,
        ambient: str | None = None,
        presign: Presign | None = None,
        form: Form | None = None,
    ) -> SignedRequest:
        """The request of a probe, signed with `credentials` (None: anonymous, or signed by the agent).

        With `presign` the signature stands in the URL, and may be an old one.

        `ambient` is the Region that the agent signs for, with the vantage point's own credentials. `form` takes the
        place of the catalogue's, for what a run itself makes and removes.

        Raises S3VpceError where the operation has no fitting form or a parameter is not one of boto3's, TargetError
        where a write's canary was not read.
        """
        cell = probe.cell
        row = operation(cell.operation)
        if form is None:
            form = form_of(cell, row)
            _check_parameters(cell, row, form)
        parameters = parameters_of(probe, row, form, destination)
        signer = None if presign else credentials
        request = self._request(row, form, parameters, signer=signer, destination=destination, transport=cell.transport)
        signed_at = 0.0 if credentials is None or presign else time.time()
        found = _finished(request, cell, id=request_id, signed_at=signed_at, ambient=ambient)
        if presign is None or credentials is None:
            return found
        return presigned(found, credentials, region=destination.region, presign=presign)

    def _request(
        self,
        row: Operation,
        form: Form,
        parameters: dict[str, Any],
        *,
        signer: Credentials | None,
        destination: Destination,
        transport: Transport,
    ) -> AWSPreparedRequest:
        """As botocore makes it; S3VpceError where it can't."""
        self._document = form.document
        try:
            client = self._client(signer, destination, transport)
            return _captured(client, row, self._typed(client, row, parameters))
        except ParamValidationError as error:
            detail = " ".join(str(error).split())
            raise S3VpceError(
                f"parameters of `{row.name}` do not fit: {detail}", remedy="use boto3's parameter names and types"
            ) from error
        except (BotoCoreError, ValueError) as error:
            raise S3VpceError(f"`{row.name}` can't be built: {error}") from error

    def _typed(self, client: BaseClient, row: Operation, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters as botocore's model has them: files hold text, the model says which are numbers."""
        shape: Any = client.meta.service_model.operation_model(row.api_name).input_shape
        members = shape.members
        for name in _OURS - members.keys():
            parameters.pop(name, None)
        return {name: _as(members[name], value) if name in members else value for name, value in parameters.items()}

    def _client(self, credentials: Credentials | None, destination: Destination, transport: Transport) -> BaseClient:
        # An access point's ARN is a parameter: the client is the Region's.
        host = replace(destination.host, access_point=None)
        key = (credentials is not None, destination.region, host, transport.scheme)
        if key not in self._clients:
            self._clients[key] = self._make_client(destination, transport, signed=credentials is not None)
        if credentials is not None:
            current: Any = self._session.get_credentials()
            current.access_key = credentials.access_key_id
            current.secret_key = credentials.secret_access_key
            current.token = credentials.session_token
        return self._clients[key]

    def _make_client(self, destination: Destination, transport: Transport, *, signed: bool) -> BaseClient:
        settings: Any = Config  # its stubs do not know every setting
        config = settings(
            signature_version="s3v4" if signed else UNSIGNED,
            s3=copy(_S3_OPTIONS),  # botocore writes into what it is given
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            user_agent=self._user_agent,
            use_dualstack_endpoint=destination.host.dualstack,
            use_fips_endpoint=destination.host.fips,
            ignore_configured_endpoint_urls=True,
        )
        endpoint = destination.host.endpoint_url
        if endpoint and transport is Transport.HTTP:
            endpoint = endpoint.replace("https://", "http://", 1)
        client: BaseClient = self._session.create_client(
            "s3",
            region_name=destination.region,
            use_ssl=transport is not Transport.HTTP,
            endpoint_url=endpoint,
            config=config,
        )
        client.meta.events.register("before-call.s3", self._replace_document)
        client.meta.events.register("before-send.s3", _capture)
        return client

    def _replace_document(self, params: dict[str, Any], **_: Any) -> None:
        """The form's own document, before botocore reckons what checksums the operation asks for."""
        if self._document is not None:
            params["body"] = self._document


def _check_parameters(cell: Cell, row: Operation, form: Form) -> None:
    """What keeps a write from changing anything is not the user's to replace."""
    if not row.writes:
        return
    if cell.mutating:
        held, why = {name for name in cell.parameters if name.startswith(_LOCKS)}, "would keep what has to be removed"
    else:
        held, why = ({*form.parameters, "VersionId"} - row.open) & {*cell.parameters}, "is what keeps it from changing"
    if held:
        names = ", ".join(f"`{name}`" for name in sorted(held))
        kind = "mutating" if cell.mutating else "safe"
        raise S3VpceError(f"the {kind} form of `{row.name}` takes no {names}: it {why}", remedy="leave it out")


def _as(shape: Any, value: Any) -> Any:
    """A value in the type of its shape where its text can be read as that; botocore judges what can't."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {name: _as(shape.members[name], row) if name in shape.members else row for name, row in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_as(shape.member, row) for row in value]
    if isinstance(value, str) and shape.type_name in ("integer", "long") and value.lstrip("-").isdecimal():
        return int(value)
    if isinstance(value, str) and shape.type_name == "boolean" and value in ("true", "false"):
        return value == "true"
    return value


def _captured(client: BaseClient, row: Operation, parameters: Mapping[str, Any]) -> AWSPreparedRequest:
    try:
        getattr(client, row.method)(**parameters)
    except _Captured as captured:
        return captured.request
    raise S3VpceError(f"botocore sent `{row.name}` on its own")  # pragma: no cover - it would be botocore's bug


def _finished(request: AWSPreparedRequest, cell: Cell, **more: Any) -> SignedRequest:
    """As any vantage point can send it."""
    return SignedRequest(
        method=request.method,
        url=request.url,
        headers=_headers(request),
        body=_body(request),
        tls=cell.transport.tls,
        max_body=ANSWER_BYTES,
        read_timeout=cell.timeout,
        **more,
    )


def _headers(request: AWSPreparedRequest) -> tuple[tuple[str, str], ...]:
    found = []
    rows: Any = request.headers.items()
    for name, value in rows:
        if name.lower() not in _UNSIGNED_EXTRAS:
            found.append((name, value.decode() if isinstance(value, bytes) else str(value)))
    return tuple(found)


def _body(request: AWSPreparedRequest) -> bytes:
    body: Any = request.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read()) if hasattr(body, "read") else bytes(body)
