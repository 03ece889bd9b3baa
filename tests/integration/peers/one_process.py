"""Runs a program with our own packages imported before or after it, and then calls Rank in the same process.

Arguments: HOST:PORT, the program, `first` or `last`, and where its library is installed.
"""

import runpy
import sys


def use_ours(address: str) -> None:
    from rankserve_client import RankingClient
    from rankserve_server.protocols.described import described_pool

    described_pool()
    with RankingClient(address) as client:
        assert len(client.rank(42, [204, 141, 131])) == 3


def main() -> None:
    address, program, ours, libraries = sys.argv[1:]
    # Behind our own environment: what both have comes from there.
    sys.path.append(libraries)
    if ours == "first":
        use_ours(address)
    runpy.run_path(program, run_name="__main__")
    use_ours(address)


if __name__ == "__main__":
    main()
