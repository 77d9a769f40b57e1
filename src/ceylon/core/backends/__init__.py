"""What is particular to one event loop."""
