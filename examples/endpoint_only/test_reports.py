"""The same in Python, for what a table can't say."""


def test_app_reads_reports_only_from_its_subnet(s3vpce):
    inside = s3vpce.probe("s3:GetObject", bucket="reports", principal="app", vantage="app-subnet")
    outside = s3vpce.probe("s3:GetObject", bucket="reports", principal="app", vantage="internet")
    assert inside.allowed
    assert outside.denied
    assert outside.layer == "resource"


def test_reports_refuses_plain_http(s3vpce):
    s3vpce.prove("tls-only", bucket="reports", principal="app", at="app-subnet")


def test_the_bucket_is_named_by_the_inventory(s3vpce):
    assert s3vpce.bucket("reports").name.startswith("reports-")
