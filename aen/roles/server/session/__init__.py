"""Session: what runs for whom, where, and how gateways lead people there."""
