"""What must survive: the store, the journal and the blobs."""
