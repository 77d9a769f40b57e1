"""Processors of messages, which have nothing left to do."""
