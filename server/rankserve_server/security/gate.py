"""Whether a call may go on."""

from collections.abc import Iterable

from rankserve_server.errors import PermissionDeniedError, RequestError, UnauthenticatedError
from rankserve_server.security.scopes import Scope, is_reflection, scope_of
from rankserve_server.security.tokens import Token, Tokens

Metadata = Iterable[tuple[str, str | bytes]]

_HEADER = "authorization"
_SCHEME = "bearer "


class Gate:
    """Stands before the calls of one port. It can be shared between threads."""

    def __init__(self, tokens: Tokens | None, no_admin: str | None) -> None:
        """Does nothing yet.

        Args:
            tokens: who may call what; None where nobody needs a token.
            no_admin: why nobody may make admin calls here, whatever his token; None where admins may.
        """
        self._tokens = tokens
        self._no_admin = no_admin

    def refusal(self, method: str, metadata: Metadata) -> RequestError | None:
        """Why a call may not go on; None where it may.

        Args:
            method: `/package.Service/Method`.
            metadata: that came with the call.
        """
        needed = scope_of(method)
        if needed is None:
            return None
        if self._tokens is not None:
            refusal = _refused_by_token(self._tokens, needed, metadata)
            if refusal is not None:
                return refusal
        elif is_reflection(method):
            return None
        if needed is Scope.ADMIN and self._no_admin is not None:
            return PermissionDeniedError(self._no_admin)
        return None


def _refused_by_token(tokens: Tokens, needed: Scope, metadata: Metadata) -> RequestError | None:
    values = [value for key, value in metadata if key == _HEADER]
    if len(values) != 1:
        return UnauthenticatedError("a token is needed, as metadata: `authorization: Bearer TOKEN`")
    token = _token_in(tokens, values[0])
    if token is None:
        return UnauthenticatedError("the token is none that this server knows")
    if token.expired:
        return UnauthenticatedError(f"the token {token.name!r} has expired")
    if not token.allows(needed):
        return PermissionDeniedError(f"the token {token.name!r} lacks the scope {needed.value!r}")
    return None


def _token_in(tokens: Tokens, value: str | bytes) -> Token | None:
    if not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
        return None
    return tokens.find(value[len(_SCHEME) :].strip())
