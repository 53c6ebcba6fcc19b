"""A problem as RFC 9457 shows it: the body of every answer that is an error."""

from pydantic import BaseModel, ConfigDict, Field


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class FieldProblem(_View):
    pointer: str = Field(description="JSON pointer into the body, or `query:name`, `header:name`.", examples=["/width"])
    code: str
    message: str


class ProblemView(_View):
    """RFC 9457. `code` is what to decide by; `retryable` says that the same request may succeed later."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    retryable: bool
    errors: list[FieldProblem]
