"""`python -m enlarge` is the command."""

from enlarge.cli import main
from enlarge.cli.starting import run_process


def start() -> None:
    """The `enlarge` command, which ends its process."""
    run_process(main)


if __name__ == "__main__":
    start()
