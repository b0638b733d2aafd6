#!/usr/bin/env bash
# Brings the machine what the tests need beyond the five packages of the README: an SSH server (the tests start their
# own sshd on a free port of the loopback, they never use the machine's) and its client, curl for the lines that are
# pasted, procps to see which processes run; for the lab a Docker engine (where none runs the tests start their own),
# mmdebstrap and uidmap, which make its hosts' root, busybox for an image, the registry that hosts pull from through
# SSH, and rsync, by which models come; openssl, for the certificates of an index; gnupg, for a repository of packages;
# chromium, which opens a report.
# As root on Debian or Ubuntu it installs what is missing; anyone else is told what to install.
# `setup-machine.sh soak` brings what `make soak` needs too: a network for fresh Debian roots, and a virtual
# machine.
set -euo pipefail

declare -A package_of=(
    [sshd]=openssh-server [ssh]=openssh-client [ssh-keygen]=openssh-client [curl]=curl [pgrep]=procps
    [dockerd]=docker.io [ip]=iproute2 [mmdebstrap]=mmdebstrap [busybox]=busybox-static [docker-registry]=docker-registry
    [rsync]=rsync [newuidmap]=uidmap [openssl]=openssl [gpg]=gnupg [chromium]=chromium
)
[ "${1:-}" != soak ] ||
    package_of+=([slirp4netns]=slirp4netns [qemu-system-x86_64]=qemu-system-x86 [mke2fs]=e2fsprogs)
PATH=$PATH:/usr/sbin:/sbin

missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done

if [ ${#missing[@]} -gt 0 ]; then
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        printf 'machine: the tests need %s\n  fix: sudo apt-get install %s\n' "${missing[*]}" "${missing[*]}" >&2
        exit 2
    fi
    started=$SECONDS
    # The packages would start a server on port 22 and a Docker engine. Nobody asked for them: policy-rc.d forbids it
    # while apt runs.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 0755 "$policy"
    fi
    echo "machine: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    install=(apt-get -o DPkg::Lock::Timeout=300 -qq install --yes --no-install-recommends "${missing[@]}")
    log=$(mktemp)
    "${install[@]}" >"$log" 2>&1 || { apt-get -o DPkg::Lock::Timeout=300 -qq update && "${install[@]}"; } >>"$log" 2>&1 ||
        { cat "$log" >&2; exit 2; }
    rm -f "$log"
    if [ -d /run/systemd/system ]; then
        case " ${missing[*]} " in *" openssh-server "*) systemctl disable --quiet ssh.service ssh.socket || true ;; esac
        case " ${missing[*]} " in *" docker.io "*) systemctl disable --quiet docker.service docker.socket || true ;; esac
        case " ${missing[*]} " in *" docker-registry "*) systemctl disable --quiet docker-registry.service || true ;; esac
    fi
    echo "machine: installed ${missing[*]} ($((SECONDS - started)) s)"
fi

# sshd, started as root, wants this directory; only a booted machine has it.
[ "$(id -u)" -ne 0 ] || install -d -m 0755 /run/sshd
