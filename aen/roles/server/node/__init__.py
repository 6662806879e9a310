"""Node: hosts that joined, how they are, and where the next project goes."""
