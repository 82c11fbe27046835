"""What is done with one object: upload, download, copy, relay, delete. The modules of the operations do not know each other."""
