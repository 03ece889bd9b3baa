"""The client of Triton takes a model out of service and brings it back."""

import tritonclient.grpc as triton

from integration.peers.cases import address, print_answers


def main() -> None:
    client = triton.InferenceServerClient(address())
    ready = [client.is_model_ready("movielens")]
    client.unload_model("movielens")
    ready.append(client.is_model_ready("movielens"))
    client.load_model("movielens")
    ready.append(client.is_model_ready("movielens"))
    print_answers([], ready=ready)


if __name__ == "__main__":
    main()
