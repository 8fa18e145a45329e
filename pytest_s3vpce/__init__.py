"""pytest-s3vpce: live access tests for Amazon S3, from inside and outside the VPC."""

__version__ = "0.1.0"
