"""Operations on objects, their tags, access lists and locks."""

from __future__ import annotations

from typing import Final

from pytest_s3vpce.operations.rows import (
    ACL_KEYS,
    API,
    BOGUS_ETAG,
    ERRORS,
    GUIDE,
    LIST_HELPER,
    VERSION_KEYS,
    WRITE_KEYS,
    Fill,
    Form,
    Operation,
    Requirement,
    Resource,
    on_object,
)

# What a write's headers ask for besides s3:PutObject.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
WRITE_EXTRAS: Final = (
    *(on_object("s3:PutObjectAcl", when=name) for name in ACL_KEYS),
    on_object("s3:PutObjectTagging", when="Tagging"),
    on_object("s3:PutObjectRetention", when="ObjectLockMode"),
    on_object("s3:PutObjectLegalHold", when="ObjectLockLegalHoldStatus"),
)
SOURCE: Final = Requirement(action="s3:GetObject", resource=Resource.SOURCE, versioned="s3:GetObjectVersion")
NO_ACL: Final = b'<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'
"""An access list without an owner or grants: none of S3's."""
ACL_REFUSED: Final = ("400 MalformedACLError", "400 MalformedXML", "400 AccessControlListNotSupported")
_GET: Final = on_object("s3:GetObject", versioned="s3:GetObjectVersion")

CONTENT: Final = (
    Operation(
        name="GetObject",
        method="get_object",
        requires=(_GET,),
        default_of="s3:GetObject",
        safe=Form(
            parameters={"Range": "bytes=0-0"},
            documented=True,
            authorised=("416 InvalidRange", "403 InvalidObjectState"),
            source=f"{API}GetObject.html",
            note="416 is the answer for an empty object, InvalidObjectState for an archived one: both authorised",
        ),
        keys=VERSION_KEYS,
        source=f"{API}GetObject.html",
    ),
    Operation(
        name="HeadObject",
        method="head_object",
        requires=(_GET,),
        safe=Form(
            documented=True,
            source=f"{API}HeadObject.html",
            note="a refused HEAD has no body, so the layer is never named",
        ),
        keys=VERSION_KEYS,
        source=f"{API}HeadObject.html",
    ),
    Operation(
        name="GetObjectAttributes",
        method="get_object_attributes",
        # The API reference asks for both actions, the user guide's table for GetObject alone: not settled, so both.
        requires=(
            on_object("s3:GetObjectAttributes", versioned="s3:GetObjectVersionAttributes"),
            _GET,
        ),
        default_of="s3:GetObjectAttributes",
        safe=Form(
            parameters={"ObjectAttributes": ["ETag"]},
            documented=True,
            helpers=(on_object("s3:GetObject"),),
            source=f"{API}GetObjectAttributes.html",
        ),
        keys=VERSION_KEYS,
        source=f"{API}GetObjectAttributes.html",
    ),
    Operation(
        name="SelectObjectContent",
        method="select_object_content",
        requires=(on_object("s3:GetObject"),),
        unsafe="S3 Select is closed to new customers, and s3:GetObject is what GetObject probes",
        source=f"{API}SelectObjectContent.html",
    ),
    Operation(
        name="PutObject",
        method="put_object",
        requires=(on_object("s3:PutObject"), *WRITE_EXTRAS, on_object("s3:GetObject", when="IfMatch")),
        default_of="s3:PutObject",
        writes=True,
        safe=Form(
            parameters={"IfNoneMatch": "*", "Body": Fill.CANARY_BODY, "ContentMD5": Fill.CANARY_DIGEST},
            documented=True,
            authorised=("412 PreconditionFailed",),
            source=f"{GUIDE}conditional-writes.html",
            note="the canary exists, so an authorised write is refused with 412; s3:if-none-match is in the context",
        ),
        keys=WRITE_KEYS,
        source=f"{API}PutObject.html",
    ),
    Operation(
        name="CopyObject",
        method="copy_object",
        requires=(on_object("s3:PutObject"), SOURCE, *WRITE_EXTRAS),
        writes=True,
        safe=Form(
            parameters={"CopySource": Fill.COPY_SOURCE, "CopySourceIfMatch": BOGUS_ETAG},
            documented=False,
            helpers=(on_object("s3:GetObject"),),
            authorised=("412 PreconditionFailed",),
            source=f"{API}CopyObject.html",
            note="copies the canary onto itself under a condition that can't hold",
        ),
        open=frozenset({"CopySource"}),
        keys=WRITE_KEYS,
        source=f"{API}CopyObject.html",
    ),
    Operation(
        name="DeleteObject",
        method="delete_object",
        requires=(
            on_object("s3:DeleteObject", versioned="s3:DeleteObjectVersion"),
            on_object("s3:BypassGovernanceRetention", when="BypassGovernanceRetention"),
            on_object("s3:GetObject", when="IfMatch"),
        ),
        default_of="s3:DeleteObject",
        writes=True,
        safe=Form(
            parameters={"IfMatch": BOGUS_ETAG},
            documented=True,
            helpers=(on_object("s3:GetObject"),),
            authorised=("412 PreconditionFailed",),
            source=f"{GUIDE}conditional-deletes.html",
            note="an ETag condition needs s3:GetObject as well",
        ),
        keys={"IfMatch": "s3:if-match", **VERSION_KEYS},
        source=f"{API}DeleteObject.html",
    ),
    Operation(
        name="DeleteObjects",
        method="delete_objects",
        # Checked per key, and answered per key: the gateway asks once for each.
        requires=(
            on_object("s3:DeleteObject", versioned="s3:DeleteObjectVersion"),
            on_object("s3:BypassGovernanceRetention", when="BypassGovernanceRetention"),
        ),
        writes=True,
        safe=Form(
            parameters={"Delete": {"Objects": [{"Key": Fill.CANARY_KEY, "ETag": BOGUS_ETAG}]}},
            documented=True,
            helpers=(on_object("s3:GetObject"),),
            source=f"{GUIDE}conditional-deletes.html",
            note="names the canary alone, with an ETag that it does not have: answered by a 200 that holds the refusal",
        ),
        source=f"{API}DeleteObjects.html",
    ),
    Operation(
        name="RestoreObject",
        method="restore_object",
        requires=(on_object("s3:RestoreObject"),),
        default_of="s3:RestoreObject",
        writes=True,
        safe=Form(
            parameters={"Key": Fill.ABSENT_KEY, "RestoreRequest": {"Days": 1}},
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey", "403 InvalidObjectState"),
            source=f"{API}RestoreObject.html",
            note="restores a key where nothing is: the canary itself could be archived, and would really be restored",
        ),
        source=f"{API}RestoreObject.html",
    ),
)

SUBRESOURCES: Final = (
    Operation(
        name="GetObjectTagging",
        method="get_object_tagging",
        requires=(on_object("s3:GetObjectTagging", versioned="s3:GetObjectVersionTagging"),),
        default_of="s3:GetObjectTagging",
        safe=Form(documented=True, source=f"{API}GetObjectTagging.html"),
        keys=VERSION_KEYS,
        source=f"{API}GetObjectTagging.html",
    ),
    Operation(
        name="PutObjectTagging",
        method="put_object_tagging",
        requires=(on_object("s3:PutObjectTagging", versioned="s3:PutObjectVersionTagging"),),
        default_of="s3:PutObjectTagging",
        writes=True,
        safe=Form(
            parameters={"Key": Fill.ABSENT_KEY, "Tagging": {"TagSet": []}},
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey",),
            source=f"{API}PutObjectTagging.html",
            note="tags a key where nothing is; without s3:ListBucket S3 answers 403 for an absent key",
        ),
        open=frozenset({"Tagging"}),
        keys=VERSION_KEYS,
        source=f"{API}PutObjectTagging.html",
    ),
    Operation(
        name="DeleteObjectTagging",
        method="delete_object_tagging",
        requires=(on_object("s3:DeleteObjectTagging", versioned="s3:DeleteObjectVersionTagging"),),
        default_of="s3:DeleteObjectTagging",
        writes=True,
        safe=Form(
            parameters={"Key": Fill.ABSENT_KEY},
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey",),
            source=f"{API}DeleteObjectTagging.html",
            note="untags a key where nothing is; without s3:ListBucket S3 answers 403 for an absent key",
        ),
        keys=VERSION_KEYS,
        source=f"{API}DeleteObjectTagging.html",
    ),
    Operation(
        name="GetObjectAcl",
        method="get_object_acl",
        requires=(on_object("s3:GetObjectAcl", versioned="s3:GetObjectVersionAcl"),),
        default_of="s3:GetObjectAcl",
        safe=Form(documented=True, source=f"{API}GetObjectAcl.html"),
        keys=VERSION_KEYS,
        source=f"{API}GetObjectAcl.html",
    ),
    Operation(
        name="PutObjectAcl",
        method="put_object_acl",
        requires=(on_object("s3:PutObjectAcl", versioned="s3:PutObjectVersionAcl"),),
        default_of="s3:PutObjectAcl",
        writes=True,
        safe=Form(
            parameters={"Key": Fill.ABSENT_KEY},
            document=NO_ACL,
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey", *ACL_REFUSED),
            source=ERRORS,
            note="an access list without owner or grants, for a key where nothing is",
        ),
        keys={**ACL_KEYS, **VERSION_KEYS},
        source=f"{API}PutObjectAcl.html",
    ),
    Operation(
        name="GetObjectRetention",
        method="get_object_retention",
        requires=(on_object("s3:GetObjectRetention"),),
        default_of="s3:GetObjectRetention",
        safe=Form(
            documented=True,
            authorised=("404 NoSuchObjectLockConfiguration", "400 InvalidRequest"),
            source=f"{API}GetObjectRetention.html",
            note="a bucket without object lock answers InvalidRequest",
        ),
        keys=VERSION_KEYS,
        source=f"{API}GetObjectRetention.html",
    ),
    Operation(
        name="PutObjectRetention",
        method="put_object_retention",
        requires=(
            on_object("s3:PutObjectRetention"),
            on_object("s3:BypassGovernanceRetention", when="BypassGovernanceRetention"),
        ),
        default_of="s3:PutObjectRetention",
        writes=True,
        safe=Form(
            parameters={
                "Key": Fill.ABSENT_KEY,
                "Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": Fill.TOMORROW},
            },
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey", "400 InvalidRequest"),
            source=f"{API}PutObjectRetention.html",
            note="retains a key where nothing is; a bucket without object lock answers InvalidRequest",
        ),
        open=frozenset({"Retention"}),
        keys=VERSION_KEYS,
        source=f"{API}PutObjectRetention.html",
    ),
    Operation(
        name="GetObjectLegalHold",
        method="get_object_legal_hold",
        requires=(on_object("s3:GetObjectLegalHold"),),
        default_of="s3:GetObjectLegalHold",
        safe=Form(
            documented=True,
            authorised=("404 NoSuchObjectLockConfiguration", "400 InvalidRequest"),
            source=f"{API}GetObjectLegalHold.html",
            note="a bucket without object lock answers InvalidRequest",
        ),
        keys=VERSION_KEYS,
        source=f"{API}GetObjectLegalHold.html",
    ),
    Operation(
        name="PutObjectLegalHold",
        method="put_object_legal_hold",
        requires=(on_object("s3:PutObjectLegalHold"),),
        default_of="s3:PutObjectLegalHold",
        writes=True,
        safe=Form(
            parameters={"Key": Fill.ABSENT_KEY, "LegalHold": {"Status": "OFF"}},
            documented=False,
            helpers=(LIST_HELPER,),
            authorised=("404 NoSuchKey", "400 InvalidRequest"),
            source=f"{API}PutObjectLegalHold.html",
            note="lifts the hold of a key where nothing is; a bucket without object lock answers InvalidRequest",
        ),
        open=frozenset({"LegalHold"}),
        keys=VERSION_KEYS,
        source=f"{API}PutObjectLegalHold.html",
    ),
)
