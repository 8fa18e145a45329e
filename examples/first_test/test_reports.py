def test_app_reads_reports_only_from_its_subnet(s3vpce):
    outside = s3vpce.probe("s3:GetObject", bucket="reports", principal="app", vantage="internet")
    assert outside.denied
    assert outside.layer == "resource"
