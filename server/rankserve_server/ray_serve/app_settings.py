"""What an application is given as its arguments, and the config that a replica runs with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from rankserve_server.config import ServerConfig, user_program_cache
from rankserve_server.limits import Limits
from rankserve_server.security.security_config import SecurityConfig

_Version = Annotated[int, msgspec.Meta(ge=1)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_LIMITS = Limits()
# Ray's proxy can be reached from everywhere.
_EVERYWHERE = "::"


class AppSettingsError(ValueError):
    """An argument is not one that an application has. The message says which and what to do."""


class AppSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `args` of an application; all that is not here is Ray's to set.

    Attributes:
        models_dir: where versions lie, on every node that has a replica.
        default_model: the model that answers requests that name none; None for the only one.
        version: of the default model, that the replicas serve, whatever is published or promoted; another one here is
            rolled out by Ray, replica by replica. None for the newest, or what `rankserve models` has decided.
        watch_seconds: how often each replica looks for new versions; 0 for never.
        keep_versions: how many of the newest versions of a model a replica holds; 0 for all.
        max_table_mib: see `ServerConfig`.
        max_memory_mib: see `ServerConfig`.
        program_cache: where compiled programs are kept on each node; "" for nowhere, None for the user's cache.
        tokens_file: takes only calls with a token of this file, on every node; None for everybody, and then no call
            that changes which versions answer.
        trusted_keys: serves only versions that the holder of one of these keys has signed.
        other_protocols: whether clients of the Open Inference Protocol and of TF Serving are answered too.
        max_candidates: this and the rest: see `Limits`, of each replica.
    """

    models_dir: Path
    default_model: str | None = None
    version: _Version | None = None
    watch_seconds: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    keep_versions: Annotated[int, msgspec.Meta(ge=0)] = 1
    max_table_mib: Annotated[int, msgspec.Meta(ge=0)] = ServerConfig.max_table_mib
    max_memory_mib: _Count | None = None
    program_cache: str | None = None
    tokens_file: Path | None = None
    trusted_keys: tuple[Path, ...] = ()
    other_protocols: bool = True
    max_candidates: _Count = _LIMITS.max_candidates
    max_top_k: _Count = _LIMITS.max_top_k
    max_history: _Count = _LIMITS.max_history
    max_batch_requests: _Count = _LIMITS.max_batch_requests
    max_batch_candidates: _Count = _LIMITS.max_batch_candidates
    max_queued_candidates: _Count = _LIMITS.max_queued_candidates
    max_queue_ms: Annotated[int, msgspec.Meta(ge=0)] = _LIMITS.max_queue_ms
    max_stream_requests: _Count = _LIMITS.max_stream_requests

    @property
    def config(self) -> ServerConfig:
        """How each replica runs."""
        limits = {name: getattr(self, name) for name in self.__struct_fields__ if name in Limits.__dataclass_fields__}
        cache = user_program_cache() if self.program_cache is None else self.program_cache
        return ServerConfig(
            models_dir=self.models_dir.absolute(),
            host=_EVERYWHERE,
            default_model=self.default_model,
            watch_seconds=self.watch_seconds,
            keep_versions=self.keep_versions,
            max_table_mib=self.max_table_mib,
            max_memory_mib=self.max_memory_mib,
            program_cache=Path(cache) if cache else None,
            quiet=True,
            other_protocols=self.other_protocols,
            limits=Limits(**limits),
            security=SecurityConfig(tokens_file=self.tokens_file, trusted_keys=self.trusted_keys),
        )


def app_settings(arguments: Mapping[str, Any]) -> AppSettings:
    """The settings that an application is given; from a command line all of them are texts.

    Raises:
        AppSettingsError: where one is missing, unknown or out of its range.
    """
    try:
        return msgspec.convert(dict(arguments), AppSettings, strict=False, dec_hook=lambda kind, value: kind(value))
    except (msgspec.ValidationError, TypeError) as error:
        known = ", ".join(AppSettings.__struct_fields__)
        raise AppSettingsError(f"an argument of the application is wrong: {error}; there are: {known}") from None
