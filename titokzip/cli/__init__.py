"""The commands; each parses, makes one call into the library, and reports.

torch is imported inside the commands that need it, so that all others answer at once.
"""

from typing import Any

import click

from titokzip import __version__
from titokzip.cli.bench import bench
from titokzip.cli.compress import compress
from titokzip.cli.decompress import decompress
from titokzip.cli.doctor import doctor
from titokzip.cli.generate import generate
from titokzip.cli.info import info, test
from titokzip.cli.models import models
from titokzip.cli.tokens import tokens
from titokzip.cli.train import train
from titokzip.errors import ModelError, TitokzipError

FAILED, MISSING, INTERRUPTED = 1, 3, 130


class Commands(click.Group):
    """Shows expected errors as one line; any other exception is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn what it raises on purpose into an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            raise  # whoever read our output has seen enough; click ends quietly
        except (TitokzipError, OSError, MemoryError) as error:
            click.echo(f"titokzip: {str(error) or 'out of memory'}", err=True)
            ctx.exit(MISSING if isinstance(error, ModelError) else FAILED)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's, which may not be imported
                raise
            told = "out of GPU memory; a smaller --batch-size or --device cpu takes less"
            click.echo(f"titokzip: {told}", err=True)
            ctx.exit(FAILED)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "TITOKZIP"},
)
@click.version_option(__version__, "-V", "--version")
def main() -> None:
    """Pictures in a few dozen bytes.

    \b
    titokzip compress photo.jpg            photo.ttk, a few hundred bytes
    titokzip compress photo.jpg --max-bytes 140
    titokzip decompress photo.ttk -o back.png
    """


for command in (
    compress, decompress, info, test, models, train, tokens, generate, bench, doctor,
):  # fmt: skip
    main.add_command(command)
