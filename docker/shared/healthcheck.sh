#!/bin/sh
# Asks the engine for its health, on the port that process 1 was given by --port.
#   healthcheck.sh SECONDS PORT      (PORT where it was given none)
port=$(tr '\0' '\n' </proc/1/cmdline | sed -n '/^--port$/{n;p;}')
exec curl --fail --silent --show-error --output /dev/null --max-time "$1" "http://127.0.0.1:${port:-$2}/health"
