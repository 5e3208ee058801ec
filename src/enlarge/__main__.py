"""`python -m enlarge` is the command."""

from enlarge.cli import main

if __name__ == "__main__":
    main()
