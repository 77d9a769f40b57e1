"""Memory: what agents remember beyond a conversation, behind one port; in this process, in SQLite, on Redis."""
