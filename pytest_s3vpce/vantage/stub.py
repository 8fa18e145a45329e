"""A vantage point for users' own tests: a plain callable answers in place of an agent and a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_s3vpce.vantage.base import Vantage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_s3vpce.model import Answer, SignedRequest


class StubVantage(Vantage):
    """Answers each request with `answer(request)`.

    `StubVantage("inside", lambda request: Answer(id=request.id, status=200))` is a network where all is allowed.
    """

    kind = "stub"

    def __init__(self, name: str, answer: Callable[[SignedRequest], Answer]) -> None:
        super().__init__(name)
        self._callable = answer

    def send(self, batch: Sequence[SignedRequest]) -> list[Answer]:
        answers = [self._callable(request) for request in batch]
        for request, answer in zip(batch, answers, strict=True):
            if answer.id != request.id:
                raise self.error(
                    f"the stub answered `{answer.id}` when asked `{request.id}`", remedy="give answers the request's id"
                )
        return answers
