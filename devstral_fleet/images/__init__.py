"""Images: the files they are built from, the site's way to packages, the controller's engine, and the way to hosts."""
