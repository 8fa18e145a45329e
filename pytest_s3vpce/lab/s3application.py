"""S3's requests go to the objects that hold its state without a web framework: half of a request's time went there."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_s3vpce.lab.wsgi import Application


def application(responses: Any, *, request_class: Any, response_class: Any, failure_class: Any) -> Application:
    """A WSGI application. The lab's requests to S3 name the bucket in the path: the path alone says where they go."""

    class Request(request_class):  # type: ignore[misc]
        from_wsgi_server = True

        @cached_property
        def raw_url(self) -> str:
            return str(super().raw_url)

    class Responses(responses):  # type: ignore[misc]
        @staticmethod
        def subdomain_based_buckets(_: Any) -> bool:
            return False

        @staticmethod
        def _enrich_response(headers: dict[str, Any], body: Any) -> tuple[dict[str, Any], Any]:
            """The ids of an answer are the lab's."""
            return {name: str(value) if name == "status" else value for name, value in headers.items()}, body

    class Response(response_class):  # type: ignore[misc]
        default_mimetype = "text/html"

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        dispatch = _dispatch(Responses, request.raw_path)
        try:
            status, headers, content = _whole(dispatch(request, request.raw_url, dict(request.headers)))
        except failure_class as failure:
            refused: Iterable[bytes] = failure(environ, start_response)
            return refused
        response = Response(response=content, status=status, headers=headers)
        if request.method == "HEAD" and "content-length" in headers:
            response.headers["Content-Length"] = headers["content-length"]
        chunks: Iterable[bytes] = response(environ, start_response)
        return chunks

    return answer


def _dispatch(responses: Any, path: str) -> Any:
    bucket, slash, key = path.lstrip("/").partition("/")
    if not bucket:
        return responses.bucket_dispatch
    return responses.key_dispatch if slash and key else responses.ambiguous_dispatch


def _whole(result: Any) -> tuple[int, Any, Any]:
    if len(result) == 3:
        status, headers, content = result
        return status, headers, content
    return 200, {}, result
