"""What people write as actions: those of accounts, and operations that are no actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_s3vpce.policy.actions import BUCKET_ACTIONS, OBJECT_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

_ON_OTHERS = """
    associateaccessgrantsidentitycenter createaccessgrant createaccessgrantsinstance createaccessgrantslocation
    createaccesspoint createaccesspointforobjectlambda createjob createmultiregionaccesspoint createstoragelensgroup
    deleteaccessgrant deleteaccessgrantsinstance deleteaccessgrantsinstanceresourcepolicy deleteaccessgrantslocation
    deleteaccesspoint deleteaccesspointforobjectlambda deleteaccesspointpolicy
    deleteaccesspointpolicyforobjectlambda deletejobtagging deletemultiregionaccesspoint
    deletestoragelensconfiguration deletestoragelensconfigurationtagging deletestoragelensgroup describejob
    describemultiregionaccesspointoperation dissociateaccessgrantsidentitycenter getaccessgrant
    getaccessgrantsinstance getaccessgrantsinstanceforprefix getaccessgrantsinstanceresourcepolicy
    getaccessgrantslocation getaccesspoint getaccesspointconfigurationforobjectlambda getaccesspointforobjectlambda
    getaccesspointpolicy getaccesspointpolicyforobjectlambda getaccesspointpolicystatus
    getaccesspointpolicystatusforobjectlambda getaccountpublicaccessblock getdataaccess getjobtagging
    getmultiregionaccesspoint getmultiregionaccesspointpolicy getmultiregionaccesspointpolicystatus
    getmultiregionaccesspointroutes getstoragelensconfiguration getstoragelensconfigurationtagging
    getstoragelensdashboard getstoragelensgroup listaccessgrants listaccessgrantsinstances listaccessgrantslocations
    listaccesspoints listaccesspointsforobjectlambda listallmybuckets listcalleraccessgrants listjobs
    listmultiregionaccesspoints liststoragelensconfigurations liststoragelensgroups
    putaccessgrantsinstanceresourcepolicy putaccesspointconfigurationforobjectlambda putaccesspointpolicy
    putaccesspointpolicyforobjectlambda putaccesspointpublicaccessblock putaccountpublicaccessblock putjobtagging
    putmultiregionaccesspointpolicy putstoragelensconfiguration putstoragelensconfigurationtagging
    submitmultiregionaccesspointroutes updateaccessgrantslocation updatejobpriority updatejobstatus
    updatestoragelensgroup
"""
OTHER_ACTIONS: Final = frozenset(_ON_OTHERS.split())
"""Those on access points, jobs, grants and the account, in lower case."""
ACTIONS: Final = BUCKET_ACTIONS | OBJECT_ACTIONS | OTHER_ACTIONS
"""All, in lower case: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html."""

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_OPERATIONS: Final[Mapping[str, str]] = {
    "headobject": "s3:GetObject",
    "headbucket": "s3:ListBucket",
    "listobjects": "s3:ListBucket",
    "listobjectsv2": "s3:ListBucket",
    "listobjectversions": "s3:ListBucketVersions",
    "listmultipartuploads": "s3:ListBucketMultipartUploads",
    "listparts": "s3:ListMultipartUploadParts",
    "listbuckets": "s3:ListAllMyBuckets",
    "copyobject": "s3:GetObject and s3:PutObject",
    "deleteobjects": "s3:DeleteObject",
    "createmultipartupload": "s3:PutObject",
    "uploadpart": "s3:PutObject",
    "uploadpartcopy": "s3:PutObject",
    "completemultipartupload": "s3:PutObject",
    "postobject": "s3:PutObject",
    "selectobjectcontent": "s3:GetObject",
    "getbucketencryption": "s3:GetEncryptionConfiguration",
    "putbucketencryption": "s3:PutEncryptionConfiguration",
    "getbucketlifecycle": "s3:GetLifecycleConfiguration",
    "getbucketlifecycleconfiguration": "s3:GetLifecycleConfiguration",
    "putbucketlifecycle": "s3:PutLifecycleConfiguration",
    "putbucketlifecycleconfiguration": "s3:PutLifecycleConfiguration",
    "getbucketreplication": "s3:GetReplicationConfiguration",
    "putbucketreplication": "s3:PutReplicationConfiguration",
    "getpublicaccessblock": "s3:GetBucketPublicAccessBlock",
    "putpublicaccessblock": "s3:PutBucketPublicAccessBlock",
    "getobjectlockconfiguration": "s3:GetBucketObjectLockConfiguration",
    "putobjectlockconfiguration": "s3:PutBucketObjectLockConfiguration",
    "deletebucketcors": "s3:PutBucketCORS",
    "deletebuckettagging": "s3:PutBucketTagging",
    "deletebucketlifecycle": "s3:PutLifecycleConfiguration",
    "deletebucketencryption": "s3:PutEncryptionConfiguration",
    "deletebucketreplication": "s3:PutReplicationConfiguration",
}


def remedy(name: str) -> str:
    """What to write instead of a name (in lower case, without `s3:`) that is no action."""
    if name in _OPERATIONS:
        return f"That is an operation; its action is {_OPERATIONS[name]}"
    from difflib import get_close_matches

    near = get_close_matches(name, ACTIONS, n=1, cutoff=0.8)
    return f"Did you mean `s3:{near[0]}` (case does not matter)?" if near else "See the actions that AWS documents"
