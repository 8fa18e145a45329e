"""The control bucket's canary: templates make no objects."""


def provision(accounts):
    account_id = accounts["main"].client("sts").get_caller_identity()["Account"]
    accounts["main"].client("s3").put_object(
        Bucket=f"s3vpce-control-{account_id}", Key=".s3vpce/canary", Body=b"a canary of pytest-s3vpce\n"
    )
