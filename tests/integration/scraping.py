"""What a port for metrics says, read as Prometheus reads it."""

import re
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

# The text is made once a second, and a worker tells what it has counted as often.
FRESH_SECONDS = 30.0
_SERVED_AT = re.compile(r"Metrics are served at (?P<url>http://[^\s\"]+)\.")


class HasErrors(Protocol):
    """A process that has metrics: it says where on stderr."""

    @property
    def errors(self) -> str: ...


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape."""

    samples: list[Sample]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name with at least these labels; 0 where there are none."""
        return sum(sample.value for sample in self.matching(name, **labels))

    def matching(self, name: str, **labels: str) -> list[Sample]:
        return [s for s in self.samples if s.name == name and labels.items() <= s.labels.items()]

    def labels(self) -> dict[str, set[str]]:
        """The names of labels, by name of the sample."""
        found: dict[str, set[str]] = {}
        for sample in self.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
        return found


def metrics_url(server: HasErrors) -> str:
    match = _SERVED_AT.search(server.errors)
    assert match, server.errors
    return match["url"]


def scrape(server: HasErrors) -> Scrape:
    with urllib.request.urlopen(metrics_url(server), timeout=10) as answer:  # noqa: S310, its address begins with http
        text = answer.read().decode()
    return Scrape([sample for family in text_string_to_metric_families(text) for sample in family.samples])


def scrape_until(server: HasErrors, is_there: Callable[[Scrape], bool]) -> Scrape:
    """Scrapes until something is to be seen."""
    deadline = time.monotonic() + FRESH_SECONDS
    while not is_there(found := scrape(server)):
        assert time.monotonic() < deadline, "\n".join(f"{s.name} {s.labels} {s.value}" for s in found.samples)
        time.sleep(0.2)
    return found
