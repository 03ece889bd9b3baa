"""What the server says: its own log, and a line for each call."""
