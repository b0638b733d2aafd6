"""Probes: each is a command for a host, a pure parser of what it prints, and `read`, which joins the two by a Shell."""
