"""What a store or its library says is wrong, in one line that says what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.artifact.storage.errors import StoreError

_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError")
_TOKENS = ("ExpiredToken", "InvalidToken")
_REFUSED = ("403", "Forbidden", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", *_TOKENS)
_NOT_THERE = ("NoSuchBucket", "404", "NotFound")
_ELSEWHERE = ("PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_BUSY = ("SlowDown", "InternalError", "ServiceUnavailable", "TooManyRequests", "429", "500", "502", "503", "504")
_MOST_CHARACTERS = 400


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns whatever a file system raises into a `StoreError` about `what`; our own errors pass."""
    try:
        yield
    except ArtifactError:
        raise
    except Exception as error:  # there is no common base: each store's library has errors of its own
        raise StoreError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    causes = list(chain(error))
    kinds = {type(each).__name__ for each in causes}
    codes = {code_of(each) for each in causes}
    said = _in_one_line(error)
    if isinstance(error, ImportError):
        return f"its library is not installed: {said}"
    if kinds & set(_CREDENTIALS):
        return "no credentials were found; set those of the store, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if codes & set(_REFUSED) or isinstance(error, PermissionError):
        return f"the store refuses these credentials: {said}; check them, and what they are allowed to do"
    if codes & set(_NOT_THERE) or isinstance(error, FileNotFoundError):
        return "there is no such bucket or object; check the URL, and that it is in the account and region asked"
    if "RecursionError" in kinds:  # its library has followed it without end
        return "the bucket is in another region, and the store does not say in which; set AWS_DEFAULT_REGION to it"
    if codes & set(_ELSEWHERE):
        return f"the bucket is in another region: {said}; set AWS_DEFAULT_REGION to the bucket's"
    if codes & set(_BUSY):
        return f"the store is overloaded or in trouble: {said}; try again later"
    if "ClientPayloadError" in kinds:
        return f"the store broke off its answer: {said}; try again"
    if any("Connect" in kind or "Timeout" in kind or "Endpoint" in kind for kind in kinds) or _is_network(error):
        return f"the store cannot be reached: {said}; check the network, and AWS_ENDPOINT_URL for a store of your own"
    return f"{said} ({type(error).__name__})"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it comes from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def code_of(error: BaseException) -> str:
    """What a store of S3's kind calls it; "" of other errors."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _is_network(error: BaseException) -> bool:
    return isinstance(error, ConnectionError | TimeoutError) or getattr(error, "errno", None) in (
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
    )


def _in_one_line(error: BaseException) -> str:
    """What it says, without the number of an error that s3fs has thought of for it."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split())[:_MOST_CHARACTERS].rstrip(".") or type(error).__name__
