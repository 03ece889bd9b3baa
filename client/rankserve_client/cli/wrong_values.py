"""What is said of an option's wrong value: where it came from, if not from the command line, and what was meant."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click
from click.core import ParameterSource

from rankserve_client.cli.config_file import origin_of
from rankserve_client.cli.setting_names import key_of, set_variable
from rankserve_client.cli.suggestions import did_you_mean

_REFUSED_CHOICE = re.compile(r"'(.*?)' is not one of ")


@contextmanager
def wrong_values_explained() -> Iterator[None]:
    """Adds that to click's own message."""
    try:
        yield
    except click.BadParameter as error:
        if type(error) is not click.BadParameter or error.param is None or error.ctx is None:
            raise
        raise _explained(error, error.param, error.ctx) from error


def _explained(error: click.BadParameter, parameter: click.Parameter, context: click.Context) -> click.BadParameter:
    message, hint = error.message, error.param_hint
    refused = _REFUSED_CHOICE.match(message)
    if refused and isinstance(parameter.type, click.Choice):
        message += did_you_mean(refused[1], map(str, parameter.type.choices))
    source = context.get_parameter_source(parameter.name or "")
    if source is ParameterSource.ENVIRONMENT:
        hint = f"the environment variable {set_variable(parameter)}"
    elif source is ParameterSource.DEFAULT_MAP and isinstance(parameter, click.Option):
        hint = f"{key_of(parameter)} in {origin_of(context, parameter)}"
    return click.BadParameter(message, context, parameter, hint)
