"""What the lock runs on a host. POSIX sh with coreutils and flock: a bare host may have no python3 yet."""

# All changes of the lock happen under one flock, which the kernel frees when a shell dies. `run` repeats the owner's
# run id in a file of its own, so that a shell can compare it. Answers: a word, the heartbeat's age, the former owner.
ACQUIRE = r"""
set -eu
home=$1 run=$2 gone=$3 stale_s=$4
umask 022
mkdir -p "$home"
exec 9>"$home/.lock.mutex"
flock 9
lock=$home/lock new=$home/.lock.new old=$home/.lock.old
word=acquired age=0 former=
if [ -d "$lock" ]; then
    touched=$(stat -c %Y "$lock/heartbeat" 2>/dev/null || stat -c %Y "$lock")
    age=$(($(date +%s) - touched))
    former=$(tr -d '\n' <"$lock/owner.json" 2>/dev/null || true)
    holder=$(cat "$lock/run" 2>/dev/null || true)
    if [ "$age" -le "$stale_s" ] && { [ -z "$gone" ] || [ "$holder" != "$gone" ]; }; then
        printf 'held\n%s\n%s\n' "$age" "$former"
        exit 0
    fi
    word=taken
    rm -rf "$old"
    mv -T "$lock" "$old"
fi
rm -rf "$new"
mkdir "$new"
cat >"$new/owner.json"
printf '%s' "$run" >"$new/run"
: >"$new/heartbeat"
mv -T "$new" "$lock"
rm -rf "$old"
printf '%s\n%s\n%s\n' "$word" "$age" "$former"
"""
# A heartbeat that lies `ahead_s` in the future keeps the lock of a host that is about to be away for so long.
HEARTBEAT = r"""
lock=$1/lock ahead_s=$3
[ "$(cat "$lock/run" 2>/dev/null)" = "$2" ] || { echo lost; exit 0; }
touch -c -d "@$(($(date +%s) + ahead_s))" "$lock/heartbeat" && echo beating
"""
# An empty run releases whoever holds it.
RELEASE = r"""
set -eu
home=$1 run=$2 lock=$1/lock old=$1/.lock.old
[ -d "$lock" ] || { echo free; exit 0; }
exec 9>"$home/.lock.mutex"
flock 9
if [ ! -d "$lock" ] || { [ -n "$run" ] && [ "$(cat "$lock/run" 2>/dev/null)" != "$run" ]; }; then
    echo free
    exit 0
fi
age=$(($(date +%s) - $(stat -c %Y "$lock/heartbeat" 2>/dev/null || stat -c %Y "$lock")))
former=$(tr -d '\n' <"$lock/owner.json" 2>/dev/null || true)
rm -rf "$old"
mv -T "$lock" "$old"
rm -rf "$old"
printf 'released\n%s\n%s\n' "$age" "$former"
"""
STATUS = r"""
lock=$1/lock
[ -d "$lock" ] || { echo free; exit 0; }
age=$(($(date +%s) - $(stat -c %Y "$lock/heartbeat" 2>/dev/null || stat -c %Y "$lock" || date +%s)))
printf 'held\n%s\n%s\n' "$age" "$(tr -d '\n' <"$lock/owner.json" 2>/dev/null)"
"""
