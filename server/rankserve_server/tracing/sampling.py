"""Which calls are traced."""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass

from rankserve_server.starting import StartError
from rankserve_server.tracing.trace_context import TraceParent

_NAME, _RATIO = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_PARENT_BASED = "parentbased_"
_ALWAYS = {"always_on": 1.0, "always_off": 0.0}
_BY_RATIO = "traceidratio"


@dataclass(frozen=True)
class Sampling:
    """Decides as a call begins.

    Attributes:
        ratio: the share that is traced of calls that nobody has decided on.
        follows_parent: whether a caller that has decided is followed.
    """

    ratio: float
    follows_parent: bool = True

    def takes(self, parent: TraceParent | None) -> bool:
        """Whether a call with this parent is traced."""
        if parent is not None and self.follows_parent:
            return parent.sampled
        return self.ratio >= 1 or random.random() < self.ratio  # noqa: S311, nobody has to guess it


def sampling_of(ratio: float | None, environment: Mapping[str, str] = os.environ) -> Sampling:
    """What an operator asks for: by the option, or else by OpenTelemetry's variables.

    Raises:
        StartError: where those ask for what is not known.
    """
    if ratio is not None:
        return Sampling(ratio)
    name = environment.get(_NAME, "").strip().lower() or "parentbased_always_on"
    kind = name.removeprefix(_PARENT_BASED)
    if kind in _ALWAYS:
        return Sampling(_ALWAYS[kind], name != kind)
    if kind == _BY_RATIO:
        return Sampling(_ratio_in(environment.get(_RATIO, "1")), name != kind)
    known = ", ".join(prefix + each for prefix in ("", _PARENT_BASED) for each in (*_ALWAYS, _BY_RATIO))
    raise StartError(f"{_NAME} is {name!r} and can be {known}; or give --trace-sample")


def _ratio_in(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise StartError(f"{_RATIO} is {text!r} and should be a number from 0 to 1; or give --trace-sample")
    return ratio
