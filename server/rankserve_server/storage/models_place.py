"""Where models lie, on the command line: a directory or the URL of a store."""

from pathlib import Path

import click


class ModelsPlace(click.ParamType["Path | str"]):
    """Gives a Path, or the URL as a string; a Path would make `s3:/bucket` of `s3://bucket`."""

    name = "DIR|URL"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Reads what was given; of a directory nothing but its path."""
        if isinstance(value, Path) or "://" not in value:
            return Path(value)
        from rankserve_training.artifact.storage.place import parse_place

        try:
            return parse_place(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
