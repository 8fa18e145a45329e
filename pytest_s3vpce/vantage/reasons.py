"""What Lambda's reason and error codes mean for the person who has to act on them.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html (StateReasonCode) and
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (errors).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_s3vpce.vantage.control import code_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class _Reason:
    words: str
    remedy: str


_ENI = _Reason(
    "the VPC has reached its limit of network interfaces",
    "remove unused functions, or raise the VPC's quota for Lambda network interfaces",
)
_ADDRESSES = _Reason("a subnet has no free IP address left", "free addresses, or name another subnet")
_SUBNET = _Reason(
    "a subnet does not exist any more or can't be used", "name a subnet that exists, in the function's VPC"
)
_GROUP = _Reason(
    "a security group does not exist any more or can't be used", "name a security group of the subnets' VPC"
)
_ROLE = _Reason(
    "the function's role may not make network interfaces",
    "give the role the EC2 actions of AWSLambdaVPCAccessExecutionRole, and check its boundary and the SCPs",
)
_EC2 = _Reason("EC2 throttles Lambda's requests", "run it again in a minute")
_KEY = _Reason(
    "Lambda can't use the KMS key of the function's environment", "let the function's role use the key, or enable it"
)
_LAMBDA = _Reason("Lambda itself failed", "run it again; if it stays, see the AWS Health dashboard")
_CREDENTIALS = _Reason("the account's credentials are not valid", "renew them, or name another profile or role")
_THROTTLE = _Reason("AWS throttles the account's calls", "run it again in a minute")
_AWS = _Reason("AWS itself failed", "run it again in a minute; if it stays, see the AWS Health dashboard")
_NETWORK = _Reason("AWS's control plane can't be reached from here", "check the network, the proxy and the Region")
_QUOTA = _Reason("a quota of the account is reached", "raise it, or remove unused functions")
_IMAGE = _Reason("the function is a container image that Lambda can't use", "deploy the agent as a zip file")
_FILES = _Reason("the function's file system can't be reached", "deploy the agent without a file system")
_START = _Reason(
    "the function fails when it starts", "deploy the agent's zip with handler `agent.handler` and no extensions"
)
_CAPACITY = _Reason(
    "the function runs on instances of a capacity provider, and there are not enough",
    "deploy the agent as an ordinary function",
)
_CODE = _Reason("the function's code or runtime can't be started", "deploy the agent's zip with a supported Python")

_REASONS: Final[Mapping[str, _Reason]] = {
    "Idle": _Reason("the function has not been used for weeks, and does not wake", "run it again in a few minutes"),
    "Creating": _Reason("the function is still being created", "run it again in a few minutes"),
    "Pending": _Reason("the function is still being made or woken", "run it again in a few minutes"),
    "InProgress": _Reason("the function is still being changed", "run it again in a few minutes"),
    "Restoring": _Reason("the function is being restored", "run it again in a few minutes"),
    "EniLimitExceeded": _ENI,
    "ENILimitReachedException": _ENI,
    "SubnetOutOfIPAddresses": _ADDRESSES,
    "SubnetIPAddressLimitReachedException": _ADDRESSES,
    "InvalidSubnet": _SUBNET,
    "InvalidSubnetIDException": _SUBNET,
    "InvalidSecurityGroup": _GROUP,
    "InvalidSecurityGroupIDException": _GROUP,
    "InsufficientRolePermissions": _ROLE,
    "EC2AccessDeniedException": _ROLE,
    "EC2RequestLimitExceeded": _EC2,
    "EC2ThrottledException": _EC2,
    "EC2UnexpectedException": _Reason("EC2 gave Lambda an error", "run it again; if it stays, check the subnet"),
    "ENINotReadyException": _Reason("the function's network interface is not ready", "run it again in a minute"),
    "DisallowedByVpcEncryptionControl": _Reason(
        "the VPC's encryption control does not let Lambda in", "exclude Lambda there, or use another vantage point"
    ),
    "KMSKeyAccessDenied": _KEY,
    "KMSKeyNotFound": _KEY,
    "InvalidStateKMSKey": _KEY,
    "DisabledKMSKey": _KEY,
    "KMSAccessDeniedException": _KEY,
    "KMSDisabledException": _KEY,
    "KMSNotFoundException": _KEY,
    "KMSInvalidStateException": _KEY,
    "InvalidConfiguration": _Reason(
        "Lambda can't use the function's configuration", "check its subnets, groups and role, and deploy it again"
    ),
    "ImageDeleted": _IMAGE,
    "ImageAccessDenied": _IMAGE,
    "InvalidImage": _IMAGE,
    "EFSIOError": _FILES,
    "EFSMountConnectivityError": _FILES,
    "EFSMountFailure": _FILES,
    "EFSMountTimeout": _FILES,
    "FunctionError": _START,
    "FunctionError.InitTimeout": _START,
    "FunctionError.RuntimeInitError": _START,
    "FunctionError.ExtensionInitError": _START,
    "FunctionError.InvalidEntryPoint": _START,
    "FunctionError.InvalidWorkingDirectory": _START,
    "FunctionError.PermissionDenied": _START,
    "FunctionError.TooManyExtensions": _START,
    "FunctionError.InitResourceExhausted": _Reason(
        "the function has too little memory to start", "give it more `memory`"
    ),
    "VcpuLimitExceeded": _CAPACITY,
    "CapacityProviderScalingLimitExceeded": _CAPACITY,
    "InsufficientCapacity": _CAPACITY,
    "IncompatibleAcceleratorInstanceTypes": _CAPACITY,
    "DrainingDurableExecutions": _Reason(
        "the function is ending executions that go on", "wait until they have ended, and run again"
    ),
    "DependencyError": _Reason(
        "a service that Lambda needs for the function failed", "run it again; if it stays, see the AWS Health dashboard"
    ),
    "InvalidRuntime": _CODE,
    "InvalidRuntimeException": _CODE,
    "InvalidZipFileException": _CODE,
    "InternalError": _LAMBDA,
    "ServiceException": _LAMBDA,
    "Throttling": _THROTTLE,
    "ThrottlingException": _THROTTLE,
    "RequestLimitExceeded": _THROTTLE,
    "InternalFailure": _AWS,
    "ServiceFailure": _AWS,
    "ServiceUnavailable": _AWS,
    "Unavailable": _AWS,
    "500": _AWS,
    "502": _AWS,
    "503": _AWS,
    "504": _AWS,
    "ServiceQuotaExceededException": _QUOTA,
    "CodeStorageExceededException": _QUOTA,
    "LimitExceeded": _QUOTA,
    "TooManyRequestsException": _Reason(
        "the function or the account has no free concurrency", "raise or remove the function's reserved concurrency"
    ),
    "ResourceNotFoundException": _Reason(
        "there is no such function", "check its name or ARN, the account and the Region"
    ),
    "ResourceNotReadyException": _Reason("the function is waking up", "run it again in a minute"),
    "ResourceConflictException": _Reason("the function is being changed", "run it again in a minute"),
    "RequestTooLargeException": _Reason("the batch is too large for Lambda", "report it"),
    "UnauthorizedOperation": _Reason(
        "the account's credentials may not do this", "give them ec2:DescribeSubnets and ec2:DescribeSecurityGroups"
    ),
    "ExpiredToken": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "RequestExpired": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "AuthFailure": _CREDENTIALS,
    "NoCredentialsError": _CREDENTIALS,
    "EndpointConnectionError": _NETWORK,
    "ConnectTimeoutError": _NETWORK,
    "ConnectionClosedError": _NETWORK,
    "ReadTimeoutError": _NETWORK,
    "IncompleteReadError": _NETWORK,
    "ResponseStreamingError": _NETWORK,
    "ProxyConnectionError": _NETWORK,
    "SSLError": _NETWORK,
    "AccessDeniedException": _Reason(
        "the account's credentials may not do this", "give them the Lambda and iam:PassRole rights of the docs"
    ),
    "AccessDenied": _Reason(
        "the account's credentials may not do this",
        "give them the IAM rights of the docs, or name a role that exists",
    ),
}
_OTHER: Final = _Reason("Lambda gave no reason that is known here", "look at the function in the console")


def words(code: str) -> str:
    """A reason or error code in plain words."""
    return _REASONS.get(code, _OTHER).words


def remedy(code: str, *, otherwise: str = _OTHER.remedy) -> str:
    """What to do about it."""
    return _REASONS[code].remedy if code in _REASONS else otherwise


def remedy_of(error: Exception, *, otherwise: str = _OTHER.remedy) -> str:
    """What to do about a call that did not succeed."""
    return remedy(code_of(error), otherwise=otherwise)
