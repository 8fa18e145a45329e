"""What AWS's host names stand for, from a Region and from a network with endpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_s3vpce.network.names import AWS, Form, HostClass, matches, names, of_key
from pytest_s3vpce.network.topology import Endpoint, EndpointKind, Topology

ENDPOINT = Endpoint(
    id="vpce-0a",
    vpc_id="vpc-1",
    account="1" * 12,
    region="eu-west-1",
    service="com.amazonaws.eu-west-1.s3",
    kind=EndpointKind.INTERFACE,
    dns_names=("vpce-0a-9.s3.eu-west-1.vpce.amazonaws.com", "vpce-0a-9-eu-west-1a.s3.eu-west-1.vpce.amazonaws.com"),
)
HOME = Topology(account="1" * 12, region="eu-west-1", endpoints=(ENDPOINT,))


@pytest.mark.parametrize(
    ("region", "host", "key"),
    [
        ("eu-west-1", "s3.eu-west-1.amazonaws.com", "s3"),
        ("eu-west-1", "A.b.S3.eu-west-1.amazonaws.com.", "s3"),
        ("eu-west-1", "a-1.s3-accesspoint.eu-west-1.amazonaws.com", "s3"),
        ("eu-west-1", "1.s3-control.eu-west-1.amazonaws.com", "s3"),
        ("eu-west-1", "b.s3.dualstack.eu-west-1.amazonaws.com", "s3:dualstack"),
        ("eu-west-1", "a-1.s3-accesspoint.dualstack.eu-west-1.amazonaws.com", "s3:dualstack"),
        ("eu-west-1", "b.s3-website-eu-west-1.amazonaws.com", "s3:public"),
        ("eu-west-1", "b.s3-eu-west-1.amazonaws.com", "s3:public"),
        ("us-gov-west-1", "b.s3-fips.us-gov-west-1.amazonaws.com", "s3:public"),
        ("us-east-1", "b.s3.amazonaws.com", "s3:public"),
        ("eu-west-1", "b.s3.amazonaws.com", "other"),
        ("eu-west-1", "b.s3.eu-west-2.amazonaws.com", "other"),
        ("eu-west-1", "b.s3.dualstack.eu-west-2.amazonaws.com", "other:dualstack"),
        ("eu-west-1", "ec2.eu-west-1.api.aws", "other:dualstack"),
        ("eu-west-1", "sts.eu-west-1.amazonaws.com", "other"),
        ("cn-north-1", "b.s3.cn-north-1.amazonaws.com.cn", "s3"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn", "other"),
        ("eusc-de-east-1", "b.s3.eusc-de-east-1.amazonaws.eu", "s3"),
        ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu", "other"),
    ],
)
def test_hosts_are_told_apart_by_region_and_form(region: str, host: str, key: str) -> None:
    found = names(region).find(host)
    assert found is not None
    assert found.key == key
    assert of_key(key) == found


@pytest.mark.parametrize(
    "host",
    ["example.com", "amazonaws.com.example.org", "s3", "bucket.vpce-0b-1.s3.eu-west-1.vpce.amazonaws.com"],
)
def test_other_names_do_not_exist(host: str) -> None:
    assert names("eu-west-1", topology=HOME).find(host) is None


@pytest.mark.parametrize("others", [False, True], ids=["own", "of-another-network"])
@pytest.mark.parametrize(
    ("host", "label"),
    [
        ("vpce-0a-9.s3.eu-west-1.vpce.amazonaws.com", "vpce-0a-9"),
        ("bucket.vpce-0a-9.s3.eu-west-1.vpce.amazonaws.com", "vpce-0a-9"),
        ("b.bucket.vpce-0a-9.s3.eu-west-1.vpce.amazonaws.com", "vpce-0a-9"),
        ("a-1.accesspoint.vpce-0a-9.s3.eu-west-1.vpce.amazonaws.com", "vpce-0a-9"),
        ("1.control.vpce-0a-9.s3.eu-west-1.vpce.amazonaws.com", "vpce-0a-9"),
        ("bucket.vpce-0a-9-eu-west-1a.s3.eu-west-1.vpce.amazonaws.com", "vpce-0a-9-eu-west-1a"),
    ],
)
def test_an_endpoints_names_resolve_everywhere(host: str, label: str, *, others: bool) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html."""
    empty = Topology(account="2" * 12, region="us-east-1")
    known = names("us-east-1", topology=empty, others=(HOME,)) if others else names("eu-west-1", topology=HOME)
    found = known.find(host)
    assert found == HostClass(service="s3", form=Form.ENDPOINT, label=label)
    assert (found.key, of_key(label).label) == (label, label)


def test_an_endpoint_that_is_not_available_has_no_name() -> None:
    pending = replace(HOME, endpoints=(replace(ENDPOINT, state="pending"),))
    assert names("eu-west-1", topology=pending).find(ENDPOINT.dns_names[0]) is None


def test_a_service_with_an_endpoint_is_told_apart() -> None:
    sts = replace(ENDPOINT, id="vpce-2", service="com.amazonaws.eu-west-1.sts", private_dns=True, dns_names=())
    table = replace(ENDPOINT, id="vpce-3", service="com.amazonaws.eu-west-1.dynamodb", kind=EndpointKind.GATEWAY)
    ecr = replace(sts, id="vpce-4", service="com.amazonaws.eu-west-1.ecr.api")
    hidden = replace(sts, id="vpce-5", service="com.amazonaws.eu-west-1.kms", private_dns=False)
    known = names("eu-west-1", topology=replace(HOME, endpoints=(sts, table, ecr, hidden)))
    hosts = {"sts": "sts", "dynamodb": "dynamodb", "api.ecr": "api.ecr", "kms": "other", "lambda": "other"}
    for service, key in hosts.items():
        found = known.find(f"{service}.eu-west-1.amazonaws.com")
        assert found is not None
        assert found.key == key
    assert {found.key for found in known.classes()} >= {"s3", "s3:dualstack", "sts", "dynamodb", "api.ecr", "other"}


def test_hosts_of_aws_are_known() -> None:
    assert matches("B.S3.amazonaws.com.", AWS)
    assert matches("b.s3.cn-north-1.amazonaws.com.cn", AWS)
    assert not matches("127.0.0.1", AWS)
