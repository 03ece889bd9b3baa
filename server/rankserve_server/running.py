"""Running a server, or several, from a process that has imported nothing heavy yet."""

import asyncio
import gc

from rankserve_server.config import ServerConfig
from rankserve_server.logs.process_log import start_log
from rankserve_server.starting import StartError, let_signals_end_process


def run_server(config: ServerConfig) -> str | None:
    """Serves until a signal ends it.

    Returns:
        Why it could not start; None where it did.
    """
    let_signals_end_process()
    start_log(config.observing.log_format, config.log_level)
    try:
        if config.workers > 1 and not config.reuse_port:
            _supervise(config)
        else:
            _serve(config)
    except StartError as error:
        return str(error)
    return None


def _supervise(config: ServerConfig) -> None:
    _check(config)
    from rankserve_server.supervisor import Supervisor

    asyncio.run(Supervisor(config).run())


def _serve(config: ServerConfig) -> None:
    # JAX and gRPC are imported here, in the process that serves: never in one that starts others. There is no garbage
    # to be looked for before it serves.
    gc.disable()
    from rankserve_server.engine.jax_setup import jax  # noqa: F401, what is forked shares it
    from rankserve_server.loader_forks import start_forks

    # Before gRPC is there, and any thread, and before keys and tokens are read: what loads models is to hold none.
    forks = start_forks()
    if not config.reuse_port:  # once, and not in every worker again
        _check(config)
    from rankserve_server.server import Server

    asyncio.run(Server(config, forks).run())


def _check(config: ServerConfig) -> None:
    """Finds out what is wrong with files before anybody is served."""
    from rankserve_server.observing.opening import check_observing
    from rankserve_server.security.checking import check_security

    check_security(config)
    check_observing(config.observing)
