"""What the operator wants of a model whose versions lie in a store: the store's `NAME/serving.json`, and its copy.

The store's is the truth for all replicas. It is replaced only where it is still what was read, so that changes at the
same time follow each other, on stores that have conditional writes: those of S3's kind. On others the later one wins.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from rankserve_server.errors import StoreDownError
from rankserve_server.versions.serving_plan import (
    FILE,
    ServingPlan,
    ServingPlanError,
    decode_plan,
    encode_plan,
    locked,
    replace_file,
)
from rankserve_training.artifact.storage.errors import StoreError, TakenError
from rankserve_training.artifact.storage.store import Store

_log = logging.getLogger(__name__)
_LARGEST_PLAN = 1024 * 1024
_TRIES = 10


def change_stored_plan(store: Store, model_dir: Path, change: Callable[[ServingPlan], ServingPlan]) -> ServingPlan:
    """Replaces a model's plan in the store by what `change` makes of it, then its copy in the cache.

    Returns:
        The new plan.

    Raises:
        StoreDownError: where the store does not take it, which leaves the old one as it is.
        ServingPlanError: where what lies there is no plan, or the copy cannot be written.
    """
    path = f"{model_dir.name}/{FILE}"
    try:
        with locked(model_dir):
            for _ in range(_TRIES):
                # The tag first: what is written between the two is then noticed.
                tag = store.tag(path)
                content = store.read(path, _LARGEST_PLAN)
                before = ServingPlan() if content is None else decode_plan(content, f"{store.url}/{path}")
                plan = change(before)
                try:
                    store.replace(path, encode_plan(plan), tag)
                except TakenError:
                    continue
                replace_file(model_dir / FILE, encode_plan(plan))
                return plan
    except StoreError as error:
        raise StoreDownError(f"the plan of {model_dir.name} stays as it is: {error}") from error
    except OSError as error:
        raise ServingPlanError(f"{model_dir / FILE} cannot be written: {error.strerror}") from error
    raise ServingPlanError(f"{store.url}/{path} is changed by others all the time; try again")


def copy_stored_plan(store: Store, model_dir: Path) -> None:
    """Brings the copy in the cache in line with the store.

    Raises:
        StoreError: where the store cannot be read; the copy stays as it is.
        OSError: where the copy cannot be written.
    """
    with locked(model_dir):
        content = store.read(f"{model_dir.name}/{FILE}", _LARGEST_PLAN)
        path = model_dir / FILE
        if content is None:
            path.unlink(missing_ok=True)
        elif not path.is_file() or path.read_bytes() != content:
            replace_file(path, content)
