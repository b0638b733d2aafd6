"""Bundles: all that a site without network needs, in parts of a size that can be carried, checked before it is used."""
