"""What the tests of engines share."""

import pytest

from rankserve_server.engine import compiling
from rankserve_server.engine.buckets import BLOCK_ROWS, LARGEST_BUCKET


@pytest.fixture
def few_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines are compiled for one size of each kind, in a fifth of the time: where sizes are not what is tested."""
    monkeypatch.setattr(compiling, "BUCKETS", (8, BLOCK_ROWS, LARGEST_BUCKET))
