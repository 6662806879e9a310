"""Project: what teams work in: making, finding, changing and moving it; its files and environments."""
