#!/bin/sh
# Starts what the container is for below an init, where no other one is process 1: SGLang's launcher as process 1 ignores
# its own SIGKILL after a fatal error and ends with exit status 0.
[ "$$" -ne 1 ] || exec tini -- "$@"
exec "$@"
