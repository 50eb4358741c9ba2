"""titokzip models: which models are here."""

import json
import sys

import click

from titokzip import zoo
from titokzip.errors import ModelError

MISSING = 3


@click.group(short_help="Show the models that are here.")
def models() -> None:
    """Show the models that are here."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def list_models(as_json: bool) -> None:
    """List every model found: name, fingerprint, tokens a tile, size, licence, place."""
    rows = [
        {
            "name": card.name,
            "fingerprint": card.fingerprint.hex()[:8],
            "tokens": card.tokens,
            "bytes": card.path.stat().st_size,
            "licence": card.licence,
            "path": str(card.path),
        }
        for card in zoo.cards()
    ]
    if as_json:
        click.echo(json.dumps({"schema": 1, "models": rows}, indent=2))
        return
    for row in rows:
        size = f"{int(str(row['bytes'])) / 1e6:.1f} MB"
        click.echo(
            f"{row['name']:<12} {row['fingerprint']}  {row['tokens']} tokens a tile"
            f"  {size}  {row['licence']}  {row['path']}"
        )


@models.command()
@click.argument("names", nargs=-1, metavar="NAME...")
def verify(names: tuple[str, ...]) -> None:
    """Check the weights of models, by default all, against their checksums; exit 3 on damage."""
    failed = False
    for name in names or [str(path) for path in zoo.files()]:
        try:
            card = zoo.find(name)
            zoo.load(card)
            click.echo(f"{card.name}: right, sha256 {card.digest.hex()}")
        except ModelError as error:
            click.echo(f"titokzip: {error}", err=True)
            failed = True
    if failed:
        sys.exit(MISSING)
