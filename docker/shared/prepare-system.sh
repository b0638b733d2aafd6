#!/bin/sh
# Makes a base image ready for the engine: the packages it lacks, the site's certificates, the engine's user.
#   prepare-system.sh USER_NUMBER HOME PACKAGE...
set -eu

number=$1 home=$2
shift 2
sh /build/shared/install-missing.sh "$@"
update-ca-certificates
getent group "$number" >/dev/null || groupadd --gid "$number" engine
getent passwd "$number" >/dev/null ||
    useradd --uid "$number" --gid "$number" --home-dir "$home" --no-create-home --shell /usr/sbin/nologin engine
install --directory --owner="$number" --group="$number" --mode=0700 "$home"
