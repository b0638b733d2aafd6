"""One use case a file; each reads like a table of contents."""
