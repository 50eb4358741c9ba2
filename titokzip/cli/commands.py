"""The group of all commands; each parses, makes one call into the library, and reports.

A command is imported when it is run, and torch inside those that need it: all others answer at
once.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, Final

import click

from titokzip import __version__
from titokzip.cli import exit_codes
from titokzip.cli.interrupts import orderly
from titokzip.cli.output import complain, message, shown, tell
from titokzip.errors import TitokzipError, is_out_of_memory

COMMANDS: Final = {
    "compress": "Compress images to .ttk files.",
    "decompress": "Decompress .ttk files to images.",
    "info": "Show what is in .ttk files.",
    "test": "Check .ttk files for damage.",
    "models": "Show, fetch and check models.",
    "train": "Train a tokenizer or a generator.",
    "tokens": "Write the tokens of images as data.",
    "generate": "Generate images with a trained generator.",
    "bench": "Measure the codec beside others, at the same bytes.",
    "doctor": "Show versions, devices and models, for a bug report.",
}
_MODULES: Final = {"test": "info"}  # where a command is not in a module of its name
_START_APART = ("compress", "decompress")  # Ctrl-C is theirs to handle once files are written


class _Lazy(MutableMapping[str, click.Command]):
    """The commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in COMMANDS:
            raise KeyError(name)
        module = import_module(f"titokzip.cli.{_MODULES.get(name, name)}")
        command: click.Command = getattr(module, name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __setitem__(self, name: str, command: click.Command) -> None:
        raise TypeError("commands are listed in COMMANDS")

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are listed in COMMANDS")


class Commands(click.Group):
    """Shows expected errors as one line; any other exception is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn what it raises on purpose into an exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            tell("interrupted")
            ctx.exit(exit_codes.INTERRUPTED)
        except click.UsageError as error:
            raise click.UsageError(shown(error.format_message()), error.ctx) from error
        except BrokenPipeError:
            raise  # whoever read our output has seen enough; click ends quietly
        except (TitokzipError, OSError) as error:
            complain(message(error))
            ctx.exit(exit_codes.of([error]))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            complain(message(error))
            ctx.exit(exit_codes.FAILED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List them as one meets them, not by the alphabet."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help on each without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    commands=_Lazy(),
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "TITOKZIP"},
)
@click.version_option(__version__, "-V", "--version", allow_from_autoenv=False)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Compress images to a few hundred bytes, and decompress them.

    \b
    titokzip compress photo.jpg                    photo.ttk, at the default quality
    titokzip compress photo.jpg --max-bytes 140    fits an SMS
    titokzip decompress photo.ttk -o back.png

    Exit codes: 0 done, 1 a file failed, 2 the command line makes no sense, 3 a model is not here,
    4 an output exists, 130 interrupted.
    """
    if ctx.invoked_subcommand not in _START_APART:
        ctx.with_resource(orderly())
