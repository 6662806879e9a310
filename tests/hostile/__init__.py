"""Hostile input: tables of bad requests against a backend that records every byte it gets."""
