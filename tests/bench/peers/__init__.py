"""Peers: the systems that the gateway is measured beside, and what makes the load."""
