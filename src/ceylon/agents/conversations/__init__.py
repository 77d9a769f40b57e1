"""Where conversations are kept: in this process, in SQLite, on Redis; and how long ones are made shorter."""
