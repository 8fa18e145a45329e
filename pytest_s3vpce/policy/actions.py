"""Which S3 actions there are on buckets and on objects, in lower case, for those who write policies.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

from typing import Final

_ON_OBJECTS = """
    abortmultipartupload bypassgovernanceretention deleteobject deleteobjectannotation deleteobjecttagging
    deleteobjectversion deleteobjectversionannotation deleteobjectversiontagging getobject getobjectacl
    getobjectannotation getobjectattributes getobjectlegalhold getobjectretention getobjecttagging
    getobjecttorrent getobjectversion getobjectversionacl getobjectversionannotation
    getobjectversionannotationforreplication getobjectversionattributes getobjectversionforreplication
    getobjectversiontagging getobjectversiontorrent initiatereplication listmultipartuploadparts
    listobjectannotations listobjectversionannotations objectowneroverridetobucketowner putobject putobjectacl
    putobjectannotation putobjectlegalhold putobjectretention putobjecttagging putobjectversionacl
    putobjectversionannotation putobjectversiontagging replicatedelete replicateobject replicateobjectannotation
    replicatetags restoreobject updateobjectencryption
"""
OBJECT_ACTIONS: Final = frozenset(_ON_OBJECTS.split())

_ON_BUCKETS = """
    allowvendedlogdeliveryforresource createbucket createbucketmetadatatableconfiguration deletebucket
    deletebucketmetadatatableconfiguration deletebucketpolicy deletebucketwebsite getaccelerateconfiguration
    getanalyticsconfiguration getbucketabac getbucketacl getbucketcors getbucketlocation getbucketlogging
    getbucketmetadatatableconfiguration getbucketnotification getbucketobjectlockconfiguration
    getbucketownershipcontrols getbucketpolicy getbucketpolicystatus getbucketpublicaccessblock
    getbucketrequestpayment getbuckettagging getbucketversioning getbucketwebsite getencryptionconfiguration
    getintelligenttieringconfiguration getinventoryconfiguration getlifecycleconfiguration
    getmetricsconfiguration getreplicationconfiguration listbucket listbucketmultipartuploads listbucketversions
    listtagsforresource pausereplication putaccelerateconfiguration putanalyticsconfiguration putbucketabac
    putbucketacl putbucketcors putbucketlogging putbucketnotification putbucketobjectlockconfiguration
    putbucketownershipcontrols putbucketpolicy putbucketpublicaccessblock putbucketrequestpayment
    putbuckettagging putbucketversioning putbucketwebsite putencryptionconfiguration
    putintelligenttieringconfiguration putinventoryconfiguration putlifecycleconfiguration
    putmetricsconfiguration putreplicationconfiguration tagresource untagresource
    updatebucketmetadataannotationtableconfiguration updatebucketmetadatainventorytableconfiguration
    updatebucketmetadatajournaltableconfiguration
"""
BUCKET_ACTIONS: Final = frozenset(_ON_BUCKETS.split())
