"""The road a message takes: ref, router, mailbox, dispatcher, handler, reply."""
