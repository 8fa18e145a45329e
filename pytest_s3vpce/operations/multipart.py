"""Operations on uploads in parts."""

from __future__ import annotations

from typing import Final

from pytest_s3vpce.operations.objects import SOURCE, WRITE_EXTRAS
from pytest_s3vpce.operations.rows import (
    API,
    BOGUS,
    BOGUS_ETAG,
    BOGUS_UPLOAD_ID,
    ERRORS,
    NO_BYTES_DIGEST,
    WRITE_KEYS,
    Fill,
    Form,
    Operation,
    Trace,
    on_bucket,
    on_object,
)

_UPLOAD: Final = {"UploadId": BOGUS_UPLOAD_ID}
_NO_UPLOAD: Final = ("404 NoSuchUpload",)

UPLOADS: Final = (
    Operation(
        name="ListMultipartUploads",
        method="list_multipart_uploads",
        requires=(on_bucket("s3:ListBucketMultipartUploads"),),
        default_of="s3:ListBucketMultipartUploads",
        safe=Form(parameters={"MaxUploads": 1}, documented=True, source=f"{API}ListMultipartUploads.html"),
        source=f"{API}ListMultipartUploads.html",
    ),
    Operation(
        name="CreateMultipartUpload",
        method="create_multipart_upload",
        requires=(on_object("s3:PutObject"), *WRITE_EXTRAS),
        writes=True,
        safe=Form(
            parameters={"StorageClass": BOGUS.upper()},
            documented=False,
            authorised=("400 InvalidStorageClass",),
            source=ERRORS,
            note="asks for a storage class that does not exist; s3:x-amz-storage-class is in the context",
        ),
        mutating=Form(
            parameters={"Key": Fill.RUN_KEY},
            documented=True,
            source=f"{API}CreateMultipartUpload.html",
            note="begins an upload, and has it aborted",
        ),
        leaves=Trace.UPLOAD,
        keys=WRITE_KEYS,
        source=f"{API}CreateMultipartUpload.html",
    ),
    Operation(
        name="UploadPart",
        method="upload_part",
        requires=(on_object("s3:PutObject"),),
        writes=True,
        safe=Form(
            parameters={**_UPLOAD, "PartNumber": 1, "Body": b"", "ContentMD5": NO_BYTES_DIGEST},
            documented=False,
            authorised=_NO_UPLOAD,
            source=f"{API}UploadPart.html",
            note="a part of an upload that does not exist: needs no canary, writes nothing in any case",
        ),
        source=f"{API}UploadPart.html",
    ),
    Operation(
        name="UploadPartCopy",
        method="upload_part_copy",
        requires=(on_object("s3:PutObject"), SOURCE),
        writes=True,
        safe=Form(
            parameters={**_UPLOAD, "PartNumber": 1, "CopySource": Fill.COPY_SOURCE},
            documented=False,
            helpers=(on_object("s3:GetObject"),),
            authorised=_NO_UPLOAD,
            source=f"{API}UploadPartCopy.html",
            note="copies the canary into an upload that does not exist",
        ),
        open=frozenset({"CopySource"}),
        source=f"{API}UploadPartCopy.html",
    ),
    Operation(
        name="CompleteMultipartUpload",
        method="complete_multipart_upload",
        requires=(on_object("s3:PutObject"), on_object("s3:GetObject", when="IfMatch")),
        writes=True,
        safe=Form(
            parameters={
                **_UPLOAD,
                "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": BOGUS_ETAG}]},
            },
            documented=False,
            authorised=_NO_UPLOAD,
            source=f"{API}CompleteMultipartUpload.html",
            note="completes an upload that does not exist",
        ),
        keys={"IfMatch": "s3:if-match", "IfNoneMatch": "s3:if-none-match"},
        source=f"{API}CompleteMultipartUpload.html",
    ),
    Operation(
        name="AbortMultipartUpload",
        method="abort_multipart_upload",
        requires=(on_object("s3:AbortMultipartUpload"),),
        default_of="s3:AbortMultipartUpload",
        writes=True,
        safe=Form(
            parameters=_UPLOAD,
            documented=False,
            authorised=_NO_UPLOAD,
            source=f"{API}AbortMultipartUpload.html",
            note="aborts an upload that does not exist",
        ),
        source=f"{API}AbortMultipartUpload.html",
    ),
    Operation(
        name="ListParts",
        method="list_parts",
        requires=(on_object("s3:ListMultipartUploadParts"),),
        default_of="s3:ListMultipartUploadParts",
        safe=Form(
            parameters=_UPLOAD,
            documented=False,
            authorised=_NO_UPLOAD,
            source=f"{API}ListParts.html",
        ),
        source=f"{API}ListParts.html",
    ),
)
