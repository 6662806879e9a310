"""Configuration: one typed model (`model.py`), how it is read (`load.py`), completed (`resolve.py`) and shown (`show.py`)."""

from aen.config.model import Config

__all__ = ["Config"]
