"""Images on their way from this machine to hosts."""
