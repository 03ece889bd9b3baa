"""What a Ray user imports: `serve run rankserve_server.ray:app models_dir=/models`. Needs the extra `ray`."""

from rankserve_server.ray_serve.application import app
from rankserve_server.ray_serve.proxy_services import add_services

__all__ = ["add_services", "app"]
