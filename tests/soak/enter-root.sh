#!/usr/bin/env bash
# Enters a fresh copy of a cached Debian root and runs one script in it. Started by fresh_root.py as root, in its own
# mount and process namespace: when the script ends, the kernel ends what it left behind and drops the mounts.
#   enter-root.sh BASE WORK SCRIPT [FOLDER...]
# BASE is never written; WORK takes the changes; FOLDER are this machine's package folders, seen at the same path.
set -euo pipefail

base=$1 work=$2 script=$3
shift 3
root=$work/root

mkdir -p "$work/upper" "$work/scratch" "$root"
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/scratch" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mkdir -p "$work/docker" "$root/var/lib/docker"  # an engine can't keep its layers on the overlay
mount --bind "$work/docker" "$root/var/lib/docker"
for folder in "$@"; do
    mkdir -p "$root$folder"
    mount --bind -o ro "$folder" "$root$folder"
done
cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
cp -r "$work/etc/." "$root/etc/"
cp -r "$work/srv/." "$root/srv/"
chroot "$root" useradd --create-home --shell /bin/bash person

# The copy becomes the namespace's own root: in a mere chroot an ordinary user could make no user namespace.
cd "$root"
mkdir old
PATH=$PATH:/usr/sbin:/sbin pivot_root . old
# shellcheck disable=SC2016 # the inner bash reads it
exec chroot . /usr/bin/env --ignore-environment \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LANG=C.UTF-8 \
    bash -c 'umount --lazy /old && rmdir /old && exec bash "$0"' "/srv/$script"
