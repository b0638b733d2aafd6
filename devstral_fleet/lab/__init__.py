"""The lab: hosts to deploy to that are containers of this machine, each with systemd, sshd and a Docker engine."""

from devstral_fleet.lab.engine import connect
from devstral_fleet.lab.host import LabHost
from devstral_fleet.lab.hosts import ensure, host_names, present, remove
from devstral_fleet.lab.place import Lab
from devstral_fleet.lab.simulation import Simulation

__all__ = ["Lab", "LabHost", "Simulation", "connect", "ensure", "host_names", "present", "remove"]
