"""`rankserve completion`."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")

_EPILOG = """\b
Examples:
  rankserve completion bash > ~/.local/share/bash-completion/completions/rankserve
  rankserve completion zsh > "${fpath[1]}/_rankserve"
  rankserve completion fish > ~/.config/fish/completions/rankserve.fish

\b
For this session of bash only, or in ~/.bashrc:
  source <(rankserve completion bash)

Commands, options and their choices, files, and the names and versions of models in the models directory are completed.
Shells that are open know it once they are started anew; zsh needs compinit in ~/.zshrc."""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete rankserve's commands."""
    program = context.find_root()
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"the installed click cannot complete in {shell}; update it: pip install -U click")
    click.echo(kind(program.command, {}, "rankserve", "_RANKSERVE_COMPLETE").source())
