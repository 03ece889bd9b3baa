"""The client of PyTriton: of single samples, and of batches with a row for each pair."""

from typing import Any

import numpy as np
from pytriton.client import ModelClient

from integration.peers.cases import Case, address, cases, print_answers


def as_batch(client: Any, case: Case) -> Any:
    users = np.broadcast_to(case.users, case.items.shape)
    return client.infer_batch(user_id=np.ascontiguousarray(users)[:, None], item_id=case.items[:, None])["score"]


def main() -> None:
    with ModelClient(f"grpc://{address()}", "movielens") as client:
        samples = [client.infer_sample(user_id=case.users, item_id=case.items)["score"] for case in cases()]
        batches = [as_batch(client, case) for case in cases()]
        config = client.model_config
    print_answers([*samples, *batches], inputs=[spec.name for spec in config.inputs])


if __name__ == "__main__":
    main()
