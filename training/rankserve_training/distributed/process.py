"""One process of a training, as `processes` starts it: `rankserve train` with a log of its own."""

import ctypes
import os
import signal
import sys
import traceback

import click

from rankserve_training.distributed.processes import LOG_VARIABLE, LOST_OTHERS

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    """Trains. Ends with whoever has started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    _keep_libraries_quiet(os.environ[LOG_VARIABLE])
    code = _train()
    sys.stdout.flush()
    sys.stderr.flush()
    if code:
        # At an orderly end JAX waits for the other processes, which wait for this one.
        os._exit(code)


def _train() -> int:
    from rankserve_training.cli.train import train
    from rankserve_training.distributed.errors import GroupError, is_of_lost_process, lost

    try:
        code = train.main(prog_name="rankserve train", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        # Whoever has started this process says so.
        return 1
    except GroupError as error:
        os.write(2, f"{error}\n".encode())
        return LOST_OTHERS
    except Exception as error:
        if not is_of_lost_process(error):
            traceback.print_exc()
            return 1
        os.write(2, f"{lost(error)}\n".encode())
        return LOST_OTHERS
    return code or 0


def _keep_libraries_quiet(log: str) -> None:
    """Sends what is written by anything but Python to a file."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    streams = [os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2)]
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)
    sys.stdout, sys.stderr = streams


if __name__ == "__main__":
    main()
