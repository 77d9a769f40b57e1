"""Language models: one port, one file a provider, one thin HTTP module under them all."""
