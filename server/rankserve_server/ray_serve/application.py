"""The application, as `serve run`, `serve deploy` and the command deploy it."""

from typing import Any

from ray import serve
from ray.serve import Application

from rankserve_server.config import encode_config
from rankserve_server.ray_serve.app_settings import app_settings
from rankserve_server.ray_serve.replica import Ranking

# Of a replica: the queue inside makes batches of what comes at the same time, and refuses what is too much.
_ONGOING_REQUESTS = 256
# To finish what is in flight when a replica is taken away.
_STOP_SECONDS = 30.0
_HEALTH_SECONDS = 5.0

ranking = serve.deployment(
    name="Ranking",
    max_ongoing_requests=_ONGOING_REQUESTS,
    graceful_shutdown_timeout_s=_STOP_SECONDS,
    health_check_period_s=_HEALTH_SECONDS,
    health_check_timeout_s=_STOP_SECONDS,
    ray_actor_options={"num_cpus": 1},
)(Ranking)


def app(arguments: dict[str, Any]) -> Application:
    """The application for `args` of a Serve config file: see `AppSettings`.

    Raises:
        AppSettingsError: where one is wrong.
    """
    settings = app_settings(arguments)
    return ranking.bind(encode_config(settings.config), settings.version)
