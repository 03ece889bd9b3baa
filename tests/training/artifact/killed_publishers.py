"""Starts publishers and kills each with SIGKILL after a random time: MODELS_DIR ROUNDS SEED.

Prints a JSON list: how many unfinished directories there were after each kill. It is a script, because a process that
runs JAX's threads must not fork.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from training.small_version import publish_small


def kill_one(models_dir: Path, seconds: float) -> int:
    """Kills a publisher after so many seconds and says how many unfinished directories are left."""
    publisher = os.fork()
    if publisher == 0:
        while True:
            publish_small(models_dir)
    time.sleep(seconds)
    os.kill(publisher, signal.SIGKILL)
    os.waitpid(publisher, 0)
    return len(list(models_dir.glob("small/.publishing-*")))


if __name__ == "__main__":
    waits = random.Random(int(sys.argv[3]))
    print(json.dumps([kill_one(Path(sys.argv[1]), waits.uniform(0.001, 0.03)) for _ in range(int(sys.argv[2]))]))
