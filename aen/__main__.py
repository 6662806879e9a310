"""`python -m aen`: the same as the `aen` command."""

from aen.cli import main

if __name__ == "__main__":
    main()
