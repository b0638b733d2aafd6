"""Where a probe's script looks: at the host itself, or on a simulated host of the lab at its recordings.

The script's own first lines decide it, by a file that only root can write. No argument, environment or inventory can
send a probe elsewhere; and a host that has the file gets no deploy.
"""

from devstral_fleet.layout import SIMULATED, SIMULATION

SCRIPT = rf"""
simulated=$(head -n 1 {SIMULATED} 2>/dev/null)
root=${{simulated:+{SIMULATION}}}
"""
