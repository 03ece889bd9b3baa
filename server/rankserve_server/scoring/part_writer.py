"""What writes parts in one process: a version, loaded as a server loads it."""

import hashlib

from rankserve_server.config import user_program_cache
from rankserve_server.engine.programs import keep_programs_in
from rankserve_server.errors import RequestError
from rankserve_server.loading import load_version
from rankserve_server.scoring.errors import ScoringError
from rankserve_server.scoring.part_file import write_part
from rankserve_server.scoring.scorer import Scorer
from rankserve_server.scoring.scoring_job import Part, ScoringJob
from rankserve_training.artifact import ArtifactError
from rankserve_training.artifact.manifest import MANIFEST_FILE
from rankserve_training.artifact.signing import read_trusted_keys


class PartWriter:
    """Scores the users of parts with one version and writes them."""

    def __init__(self, job: ScoringJob) -> None:
        """Verifies, loads and compiles the version, and replays its golden requests.

        Raises:
            ScoringError: where that fails, or the model cannot do what the plan says.
        """
        self._job = job
        plan = job.plan
        keep_programs_in(user_program_cache())  # those of a server, and for it
        try:
            keys = read_trusted_keys(job.trusted_keys)
            model = load_version(job.version, lambda: None, plan.max_table_mib, keys)
            digest = hashlib.sha256((job.version / MANIFEST_FILE).read_bytes()).hexdigest()
            if digest != plan.manifest_sha256:
                raise ScoringError(f"{job.version / MANIFEST_FILE} was changed meanwhile; a version never changes")
            self._scorer = Scorer(model, job.item_ids, plan.top_k, plan.order, plan.exclude_seen)
        except (ArtifactError, RequestError) as error:
            raise ScoringError(str(error)) from error

    def write(self, part: Part) -> int:
        """Scores and writes one.

        Returns:
            How many rows it has.

        Raises:
            OSError: where the disk does not take it.
        """
        found = self._scorer.rank(part.user_ids)
        return write_part(self._job.output, self._job.plan, part.number, self._scorer.by_choice, found)
