"""AEN on a machine of its own: a virtual one with a real systemd and real control groups. Run by `./dev vm`, not by `./dev test`."""
