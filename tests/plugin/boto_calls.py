"""Ordinary boto3 code in thirty calls and more: what each gave, without what differs from one request to the next."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, WaiterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1024 * 1024
_PASSING = frozenset(
    {"ResponseMetadata", "LastModified", "UploadId", "VersionId", "CopySourceVersionId", "Initiated", "AbortDate"}
)


def plain(value: Any) -> Any:
    """A result without times, ids of requests and open streams."""
    if isinstance(value, dict):
        return {name: plain(row) for name, row in value.items() if name not in _PASSING}
    if isinstance(value, (list, tuple)):
        return [plain(row) for row in value]
    content = value.read() if hasattr(value, "read") else value
    if isinstance(content, bytes) and len(content) > 99:
        return hashlib.sha256(content).hexdigest()
    return content


class Record:
    """Makes calls and keeps what came of each: a result, or an error's code and status."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Any]] = []

    def __call__(self, name: str, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        try:
            found = call(*given, **named)
        except ClientError as error:
            code, answer = error.response["Error"].get("Code"), error.response["ResponseMetadata"]["HTTPStatusCode"]
            self.rows.append((name, (type(error).__name__, code, answer, error.operation_name)))
            return None
        status = found.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(found, dict) else None
        self.rows.append((name, (status, plain(found))))
        return found


def calls(s3: Any, sts: Any, *, bucket: str, folder: Path) -> list[tuple[str, Any]]:
    """The calls, in a bucket that is empty before and after."""
    record = Record()
    _objects(record, s3, bucket)
    _multipart(record, s3, bucket)
    _transfers(record, s3, bucket, folder)
    _bucket(record, s3, bucket)
    _errors(record, s3, bucket)
    record("GetCallerIdentity", lambda: {"Account": sts.get_caller_identity()["Account"]})
    record(
        "presign", lambda: s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a"}).split("?")[0][-2:]
    )
    left = [row["Key"] for row in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    record("DeleteObjects", s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": key} for key in left]})
    record("empty", s3.list_objects_v2, Bucket=bucket)
    return record.rows


def _objects(record: Record, s3: Any, bucket: str) -> None:
    place = {"Bucket": bucket, "Key": "a"}
    record(
        "PutObject", s3.put_object, **place, Body=b"hello", ContentType="text/plain", Metadata={"colour": "red"},
        Tagging="team=blue",
    )  # fmt: skip
    record("PutObject file", s3.put_object, Bucket=bucket, Key="dir/b c+ü", Body=io.BytesIO(b"x" * 70_000))
    record("PutObject empty", s3.put_object, Bucket=bucket, Key="empty", Body=b"")
    record("PutObject sha256", s3.put_object, Bucket=bucket, Key="sum", Body=b"sum", ChecksumAlgorithm="SHA256")
    record("PutObject once", s3.put_object, **place, Body=b"again", IfNoneMatch="*")
    record("waiter", s3.get_waiter("object_exists").wait, **place)
    record("HeadObject", s3.head_object, **place)
    record("GetObject", s3.get_object, **place)
    record("GetObject range", s3.get_object, **place, Range="bytes=1-2")
    record("GetObject odd key", s3.get_object, Bucket=bucket, Key="dir/b c+ü")
    record(
        "iter_chunks",
        lambda: [len(row) for row in s3.get_object(Bucket=bucket, Key="dir/b c+ü")["Body"].iter_chunks(9999)],
    )
    record("iter_lines", lambda: list(s3.get_object(**place)["Body"].iter_lines()))
    record("GetObjectTagging", s3.get_object_tagging, **place)
    record("PutObjectTagging", s3.put_object_tagging, **place, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    record("DeleteObjectTagging", s3.delete_object_tagging, **place)
    record("CopyObject", s3.copy_object, Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a"})
    record("copy", s3.copy, {"Bucket": bucket, "Key": "a"}, bucket, "copied")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    record("paginate", lambda: [[row["Key"] for row in page["Contents"]] for page in pages])
    record("ListObjects", s3.list_objects, Bucket=bucket, Prefix="c", Delimiter="/")
    record("DeleteObject", s3.delete_object, Bucket=bucket, Key="copy")


def _multipart(record: Record, s3: Any, bucket: str) -> None:
    place = {"Bucket": bucket, "Key": "parts"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    part = record("UploadPart", s3.upload_part, **place, UploadId=upload, PartNumber=1, Body=b"one")
    record("ListParts", s3.list_parts, **place, UploadId=upload)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    record("CompleteMultipartUpload", s3.complete_multipart_upload, **place, UploadId=upload, MultipartUpload=parts)
    upload = s3.create_multipart_upload(**place)["UploadId"]
    record("AbortMultipartUpload", s3.abort_multipart_upload, **place, UploadId=upload)


def _transfers(record: Record, s3: Any, bucket: str, folder: Path) -> None:
    seen: list[int] = []
    source, target = folder / "source", folder / "target"
    source.write_bytes(bytes(range(256)) * 4096)
    record("upload_file", s3.upload_file, str(source), bucket, "file", Callback=seen.append)
    record("download_file", s3.download_file, bucket, "file", str(target))
    record("same", lambda: target.read_bytes() == source.read_bytes() and sum(seen) == MIB)
    record("upload_fileobj", s3.upload_fileobj, io.BytesIO(b"y" * MIB), bucket, "obj", ExtraArgs={"ContentType": "a/b"})
    into, ranged = io.BytesIO(), TransferConfig(multipart_threshold=300_000, multipart_chunksize=300_000)
    record("download_fileobj", s3.download_fileobj, bucket, "obj", into, Config=ranged)
    record("same", lambda: into.getvalue() == b"y" * MIB)


def _bucket(record: Record, s3: Any, bucket: str) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/no"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    record("HeadBucket", s3.head_bucket, Bucket=bucket)
    record("GetBucketLocation", s3.get_bucket_location, Bucket=bucket)
    record("PutBucketPolicy", s3.put_bucket_policy, Bucket=bucket, Policy=policy)
    record("GetObject denied", s3.get_object, Bucket=bucket, Key="no")
    record("GetBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
    record("DeleteBucketPolicy", s3.delete_bucket_policy, Bucket=bucket)
    record("GetBucketPolicy none", s3.get_bucket_policy, Bucket=bucket)


def _errors(record: Record, s3: Any, bucket: str) -> None:
    record("GetObject missing", s3.get_object, Bucket=bucket, Key="missing")
    record("HeadObject missing", s3.head_object, Bucket=bucket, Key="missing")
    record("GetObject elsewhere", s3.get_object, Bucket="no-such-bucket-of-ours", Key="a")

    def modelled() -> str:
        try:
            s3.get_object(Bucket=bucket, Key="missing")
        except s3.exceptions.NoSuchKey as error:
            return str(error)
        return "found"

    record("NoSuchKey", modelled)

    def waited() -> str:
        try:
            s3.get_waiter("object_exists").wait(
                Bucket=bucket, Key="missing", WaiterConfig={"Delay": 0, "MaxAttempts": 2}
            )
        except WaiterError as error:
            return str(error)
        return "waited"

    record("waiter gives up", waited)
