"""Print docs/cli.md: the help of every command, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from irwright.cli import cli

WIDTH = 100


def pages(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """Help of a command, then of its subcommands, in the order of the help."""
    settings = {**command.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    path = context.command_path
    yield f"## {path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from pages(found, child, context)


def document() -> str:
    """The whole page."""
    head = "# Command line\n\nMade by `make docs` from `irwright --help` and its like; do not edit.\n"
    return "\n".join([head, *pages(cli, "irwright")])


if __name__ == "__main__":
    print(document(), end="")
