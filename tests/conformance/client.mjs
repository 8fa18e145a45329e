// The JavaScript SDK against a lab: put, list, get, parts, copy, presigned, policy, denials, delete.
// Arguments: endpoint, key, secret, key and secret of another account, bucket.
import assert from "node:assert/strict";
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CopyObjectCommand, CreateBucketCommand,
  CreateMultipartUploadCommand, DeleteBucketCommand, DeleteBucketPolicyCommand, DeleteObjectsCommand,
  GetBucketPolicyCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, ListBucketsCommand,
  PutBucketPolicyCommand, PutBucketVersioningCommand, PutObjectCommand, S3Client, UploadPartCommand,
  ListObjectVersionsCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { createPresignedPost } from "@aws-sdk/s3-presigned-post";

const [endpoint, key, secret, otherKey, otherSecret, Bucket] = process.argv.slice(2);
const client = (accessKeyId, secretAccessKey) =>
  new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
const s3 = client(key, secret);
const other = client(otherKey, otherSecret);
const text = async (answer) => answer.Body.transformToString();

await s3.send(new CreateBucketCommand({ Bucket }));
assert((await s3.send(new ListBucketsCommand({}))).Buckets.some((row) => row.Name === Bucket));
await s3.send(new PutObjectCommand({ Bucket, Key: "a/ü +x", Body: "hello", Metadata: { k: "v" }, Tagging: "a=b" }));
await s3.send(new PutObjectCommand({ Bucket, Key: "sum", Body: "sum", ChecksumAlgorithm: "SHA256" }));
await s3.send(new PutObjectCommand({ Bucket, Key: "crc64", Body: "sum", ChecksumAlgorithm: "CRC64NVME" }));
await s3.send(new PutObjectCommand({ Bucket, Key: "crc32c", Body: "sum", ChecksumAlgorithm: "CRC32C" }));
assert.equal(await text(await s3.send(new GetObjectCommand({ Bucket, Key: "a/ü +x" }))), "hello");
assert.equal(await text(await s3.send(new GetObjectCommand({ Bucket, Key: "sum", ChecksumMode: "ENABLED" }))), "sum");
const listed = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: "/" }));
assert.deepEqual(listed.CommonPrefixes.map((row) => row.Prefix), ["a/"]);
assert.equal((await s3.send(new HeadObjectCommand({ Bucket, Key: "a/ü +x" }))).Metadata.k, "v");

const upload = { Bucket, Key: "parts" };
upload.UploadId = (await s3.send(new CreateMultipartUploadCommand(upload))).UploadId;
const Parts = [];
for (const [PartNumber, size] of [[1, 5 * 1024 * 1024], [2, 100]]) {
  const { ETag } = await s3.send(new UploadPartCommand({ ...upload, PartNumber, Body: Buffer.alloc(size, "x") }));
  Parts.push({ PartNumber, ETag });
}
await s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
assert.equal((await s3.send(new HeadObjectCommand({ Bucket, Key: "parts" }))).ContentLength, 5 * 1024 * 1024 + 100);
const left = { Bucket, Key: "left" };
left.UploadId = (await s3.send(new CreateMultipartUploadCommand(left))).UploadId;
await s3.send(new AbortMultipartUploadCommand(left));
await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/${encodeURIComponent("a/ü +x")}` }));

const got = await fetch(await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "copy" }), { expiresIn: 60 }));
assert.equal(await got.text(), "hello");
const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "put" }), { expiresIn: 60 });
assert.equal((await fetch(put, { method: "PUT", body: "put" })).status, 200);
const post = await createPresignedPost(s3, { Bucket, Key: "posted", Conditions: [["content-length-range", 1, 9]] });
const form = new FormData();
for (const [name, value] of Object.entries(post.fields)) form.append(name, value);
form.append("file", new Blob(["posted"]), "file.txt");
assert.equal((await fetch(post.url, { method: "POST", body: form })).status, 204);

await assert.rejects(other.send(new GetObjectCommand({ Bucket, Key: "put" })), { name: "AccessDenied" });
const Statement = [{ Effect: "Allow", Principal: { AWS: "444455556666" }, Action: "s3:GetObject",
  Resource: `arn:aws:s3:::${Bucket}/*` }];
const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
assert.deepEqual(JSON.parse((await s3.send(new GetBucketPolicyCommand({ Bucket }))).Policy).Statement, Statement);
assert.equal(await text(await other.send(new GetObjectCommand({ Bucket, Key: "posted" }))), "posted");
await s3.send(new DeleteBucketPolicyCommand({ Bucket }));
await assert.rejects(other.send(new GetObjectCommand({ Bucket, Key: "put" })), { name: "AccessDenied" });
await assert.rejects(s3.send(new GetObjectCommand({ Bucket, Key: "none" })), { name: "NoSuchKey" });

const VersioningConfiguration = { Status: "Enabled" };
await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
await s3.send(new PutObjectCommand({ Bucket, Key: "put", Body: "2" }));
const all = await s3.send(new ListObjectVersionsCommand({ Bucket }));
const Objects = all.Versions.map(({ Key, VersionId }) => ({ Key, VersionId }));
assert.equal((await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))).Errors, undefined);
await s3.send(new DeleteBucketCommand({ Bucket }));
console.log("done");
