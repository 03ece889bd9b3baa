"""What it takes a machine that has had nothing to do to go on."""

import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# From here on a lone caller has slept until its call was due.
_ASLEEP = 0.0001
# From here on it takes the longer to wake up the longer it has slept.
_DEEPLY_ASLEEP = 0.002
_LEAST = 1e-6
# Quantiles, and the second one of a normal distribution of deviation 1.
_USUAL_AND_MOST, _NORMAL_OF_MOST = (0.5, 0.9), 1.2816
_IDLE_BINS = (_ASLEEP, 0.0003, 0.0006, 0.001, 0.002, 0.004, 0.008, math.inf)


class LoneCall(NamedTuple):
    """A call of one who pauses before each, in seconds.

    Attributes:
        idle: how long the server and the client had had nothing to do when it was sent.
        late: how much later than it was due it was sent.
        took: from then until it was answered.
    """

    idle: float
    late: float
    took: float


@dataclass(frozen=True)
class Waking:
    """Of a machine, in seconds.

    Attributes:
        idle: how long a processor has had nothing to do.
        wake: until it goes on then, a straight line between these: the longer, the less is left in its caches.
        spread: standard deviation of the logarithm of that.
        timer: how much later than it asked for a thread goes on that sleeps until some time.
    """

    idle: tuple[float, ...]
    wake: tuple[float, ...]
    spread: float
    timer: float

    @staticmethod
    def of(lone: Sequence[LoneCall], awake: Sequence[float]) -> "Waking":
        """From calls that find everything asleep, and what those of a caller take who leaves no time to sleep."""
        idle, late, took = np.array(lone).T
        usual, most = np.quantile(awake, _USUAL_AND_MOST).tolist()
        idle_for, wake = [], []
        for low, high in itertools.pairwise(_IDLE_BINS):
            within = (idle >= low) & (idle < high)
            if within.any():
                idle_for.append(float(np.median(idle[within])))
                wake.append(max(_LEAST, float(np.median(took[within])) - usual))
        # Of what these calls differ in, some is not of waking.
        asleep = idle >= _ASLEEP
        their_usual, their_most = np.quantile(took[asleep & (idle < _DEEPLY_ASLEEP)], _USUAL_AND_MOST).tolist()
        more = math.sqrt(max(0.0, (their_most - their_usual) ** 2 - (most - usual) ** 2))
        spread = math.log1p(more / max(_LEAST, their_usual - usual)) / _NORMAL_OF_MOST
        return Waking(tuple(idle_for), tuple(wake), spread, float(np.median(late[asleep])))

    def after(self, idle: float, chance: random.Random) -> float:
        """Until a processor goes on that has had nothing to do for so long, and sleeps."""
        place = bisect_right(self.idle, idle)
        wake = self.wake[max(place - 1, 0)]
        if 0 < place < len(self.idle):
            low, high = self.idle[place - 1 : place + 1]
            wake += (self.wake[place] - wake) * (idle - low) / (high - low)
        return wake * chance.lognormvariate(0.0, self.spread)


NEVER_ASLEEP = Waking((0.0,), (0.0,), 0.0, 0.0)
