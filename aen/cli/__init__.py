"""The `aen` command."""


def main() -> None:
    """Read the arguments and call one function."""
