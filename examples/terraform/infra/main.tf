# The same as first_test, in Terraform: nothing in it knows of the lab.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

data "aws_region" "here" {}
data "aws_caller_identity" "me" {}

locals {
  account = data.aws_caller_identity.me.account_id
  root    = "arn:aws:iam::${local.account}:root"
  canary  = "a canary of pytest-s3vpce: read by probes, never changed\n"
  buckets = [aws_s3_bucket.reports.arn, aws_s3_bucket.control.arn]
}

resource "aws_vpc" "main" {
  cidr_block = "10.20.0.0/16"
}

resource "aws_subnet" "app" {
  vpc_id     = aws_vpc.main.id
  cidr_block = "10.20.1.0/24"
}

resource "aws_route_table" "app" {
  vpc_id = aws_vpc.main.id
}

resource "aws_route_table_association" "app" {
  subnet_id      = aws_subnet.app.id
  route_table_id = aws_route_table.app.id
}

resource "aws_security_group" "probe" {
  name   = "s3vpce-probe"
  vpc_id = aws_vpc.main.id
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.main.id
  service_name    = "com.amazonaws.${data.aws_region.here.name}.s3"
  route_table_ids = [aws_route_table.app.id]
}

resource "aws_s3_bucket" "reports" {
  bucket = "reports-${local.account}"
}

resource "aws_s3_bucket" "control" {
  bucket = "s3vpce-control-${local.account}"
}

resource "aws_s3_object" "canary" {
  for_each = { reports = aws_s3_bucket.reports.id, control = aws_s3_bucket.control.id }
  bucket   = each.value
  key      = ".s3vpce/canary"
  content  = local.canary
}

resource "aws_iam_role" "app" {
  name = "app"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { AWS = local.root }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "app" {
  name = "buckets"
  role = aws_iam_role.app.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]
      Resource = concat(local.buckets, formatlist("%s/*", local.buckets))
    }]
  })
}

resource "aws_s3_bucket_policy" "reports" {
  bucket = aws_s3_bucket.reports.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyThroughTheEndpoint"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.reports.arn, "${aws_s3_bucket.reports.arn}/*"]
        Condition = {
          StringNotEquals = { "aws:SourceVpce" = aws_vpc_endpoint.s3.id }
          ArnNotEquals    = { "aws:PrincipalArn" = data.aws_caller_identity.me.arn } # who applies this goes on to manage it
        }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.reports.arn, "${aws_s3_bucket.reports.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }
    ]
  })
  depends_on = [aws_s3_object.canary]
}

output "AppRoleArn" {
  value = aws_iam_role.app.arn
}

output "AppSubnet" {
  value = aws_subnet.app.id
}

output "ProbeGroup" {
  value = aws_security_group.probe.id
}

output "ReportsBucket" {
  value = aws_s3_bucket.reports.id
}

output "ControlBucket" {
  value = aws_s3_bucket.control.id
}

output "Endpoint" {
  value = aws_vpc_endpoint.s3.id
}
