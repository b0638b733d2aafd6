#!/bin/sh
# Installs the Debian or Ubuntu packages that an image lacks; asks nobody where none is missing.
#   install-missing.sh PACKAGE...
# APT_MIRROR, where it is set, is asked in place of what the image's own lists name. /build/site/ca.pem holds the
# certificates by which the site's mirror or proxy is known; an empty file leaves it to the image's own.
set -eu

missing=
for package in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

# apt hears of a proxy by these names alone.
export http_proxy="${http_proxy:-${HTTP_PROXY:-}}" https_proxy="${https_proxy:-${HTTPS_PROXY:-}}"
export no_proxy="${no_proxy:-${NO_PROXY:-}}"
set -- -o Acquire::Retries=2
[ ! -s /build/site/ca.pem ] || set -- "$@" -o Acquire::https::CAInfo=/build/site/ca.pem
if [ -n "${APT_MIRROR:-}" ]; then
    . /etc/os-release
    case $ID in ubuntu) parts="main universe" ;; *) parts=main ;; esac
    signed=/usr/share/keyrings/$ID-archive-keyring.gpg
    [ -e "$signed" ] && signed="[signed-by=$signed]" || signed=
    echo "deb $signed $APT_MIRROR $VERSION_CODENAME $parts" >/build/mirror.list
    set -- "$@" -o Dir::Etc::SourceList=/build/mirror.list -o Dir::Etc::SourceParts=-
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq "$@" update
# shellcheck disable=SC2086 # names of packages
apt-get -qq "$@" install --yes --no-install-recommends $missing
rm -rf /var/lib/apt/lists/*
