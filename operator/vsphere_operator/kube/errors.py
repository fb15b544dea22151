"""What a Kubernetes API can answer instead of what was asked for."""

# ruff: noqa: N818 - named as the API names its answers
from __future__ import annotations

from vsphere_operator.runtime.engine import Expected


class KubeError(Exception):
    """An answer that is an error.

    `status` is the HTTP status (0 when there was no answer), `reason` the API's CamelCase word for it,
    `message` its sentence, `retry_after` the pause that it asks for in seconds.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFound(KubeError, Expected):
    """There is no such object, namespace or kind."""


class Conflict(KubeError, Expected):
    """The object is not any more what the caller read: look again."""


class AlreadyExists(KubeError, Expected):
    """An object of this name is there."""


class Unauthorized(KubeError, Expected):
    """The API does not know these credentials."""


class Forbidden(KubeError, Expected):
    """The API knows us and does not let us (missing RBAC rule, or a namespace that is being deleted)."""


class Invalid(KubeError):
    """The object breaks its schema or rules: of what we write ourselves that is a bug, so it is not
    expected."""


class Gone(KubeError, Expected):
    """The page or version asked for is too old (410)."""


class Unavailable(KubeError, Expected):
    """No answer, an overloaded server or an error inside of it; the request may have been carried out."""


def error_of(status: int, reason: str, message: str, *, retry_after: float | None = None) -> KubeError:
    """The error for an HTTP status and the `reason` and `message` of its Status object."""
    return _class_of(status, reason)(status, reason, message, retry_after=retry_after)


def _class_of(status: int, reason: str) -> type[KubeError]:
    if reason == "AlreadyExists":
        return AlreadyExists
    if status >= 500 or status == 429:
        return Unavailable
    return {
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        410: Gone,
        422: Invalid,
    }.get(status, KubeError)
