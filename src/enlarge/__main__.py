"""`python -m enlarge` is the command."""

import signal


def start() -> None:
    """The `enlarge` command, which ends its process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until `main` handles it, Ctrl+C ends the process, without a traceback from an import.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from enlarge.cli import main
    from enlarge.cli.starting import run_process

    run_process(main)


if __name__ == "__main__":
    start()
