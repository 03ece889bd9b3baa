"""What TLS and tokens cost the server on a request: servers with and without, in turn, each beside plaintext."""

import dataclasses
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import h2load
from processes import Contender, Process, rankserve, running
from protocols import RANKING
from tables import spread, table
from throughput import expected_scores

CANDIDATES = (100, 500)
# Short ones, so that whatever else the machine does meets all of them alike.
ROUNDS = 15
_SECONDS = 0.7
_WARM_UP = 500
_FIRST_PORT = 27_780


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the tables as Markdown."""
    expected = expected_scores(models_dir)
    with tempfile.TemporaryDirectory() as directory:
        contenders = _contenders(Path(directory))
        with running(contenders, models_dir, _FIRST_PORT) as processes:
            tables = [_table(count, _measure(processes, count, expected, log)) for count in CANDIDATES]
    return (
        f"rankserve on the direct transport, {h2load.CONNECTIONS} connections with {h2load.STREAMS} requests each that "
        f"stay open, median of {ROUNDS} short rounds (lowest to highest). The ratios are of rounds of the same turn. "
        "The client encrypts on the same processors, which is in the rates and not in the CPU time of the server.\n\n"
        + "\n\n".join(tables)
    )


def _contenders(directory: Path) -> list[Contender]:
    """The first one is what the others are compared with."""
    key, cert, tokens = (directory / name for name in ("tls.key", "tls.crt", "tokens.toml"))
    request = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
    names = ("-subj", "/CN=rankserve", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(key), "-out", str(cert))
    subprocess.run(["openssl", *request, *names, *files], check=True, capture_output=True)
    make_token = [str(Path(sys.executable).parent / "rankserve"), "token", "bench", "--tokens-file", str(tokens)]
    secret = subprocess.run(make_token, check=True, capture_output=True, text=True).stdout.strip()

    def contender(name: str, tls: bool, token: bool) -> Contender:
        flags = [*(("--tls-cert", str(cert), "--tls-key", str(key)) if tls else ())]
        flags += ["--tokens-file", str(tokens)] if token else []
        metadata = (("authorization", f"Bearer {secret}"),) if token else ()
        return dataclasses.replace(
            rankserve("direct", *flags),
            name=name,
            protocol=dataclasses.replace(RANKING, metadata=metadata),
            ca_file=cert if tls else None,
        )

    return [
        contender("plaintext", tls=False, token=False),
        contender("a token", tls=False, token=True),
        contender("TLS", tls=True, token=False),
        contender("TLS and a token", tls=True, token=True),
    ]


def _measure(
    processes: list[Process], count: int, expected: dict[int, float], log: Callable[[str], None]
) -> dict[Contender, list[h2load.Round]]:
    sizes = {process: max(200, int(_SECONDS * h2load.measure(process, count, _WARM_UP).rate)) for process in processes}
    rounds: dict[Contender, list[h2load.Round]] = {process.contender: [] for process in processes}
    for number in range(ROUNDS):
        for process in processes[:: 1 if number % 2 else -1]:
            h2load.check_answers(process, count, expected)
            rounds[process.contender].append(h2load.measure(process, count, sizes[process]))
    log(f"security_cost, {count} candidates: {ROUNDS} rounds")
    return rounds


def _table(count: int, rounds: dict[Contender, list[h2load.Round]]) -> str:
    plaintext = next(iter(rounds.values()))
    rows = []
    for contender, results in rounds.items():
        pairs = list(zip(results, plaintext, strict=True))
        rows.append(
            [
                contender.name,
                spread([one.cpu_us / other.cpu_us for one, other in pairs], ".2f"),
                spread([one.rate / other.rate for one, other in pairs], ".2f"),
                f"{statistics.median(one.cpu_us for one in results):.0f}",
                f"{statistics.median(one.rate for one in results):,.0f}",
                f"{statistics.median(one.p50_ms for one in results):.1f}",
            ]
        )
    columns = ["", "CPU, times plaintext's", "rate, times plaintext's", "CPU us/request", "requests/s", "p50 ms"]
    return f"{count} candidates:\n\n{table(columns, rows)}"
