"""Publishing: what is done in a project for later and for others: revisions, scheduled runs, published pages."""
