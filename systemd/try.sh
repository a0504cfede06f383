#!/bin/bash
# Tries the units for real, before a release: boots a systemd of its own in namespaces of its own, over a root that is
# this host's with nothing written back, and there installs, starts, reloads, kills, starves, stops, upgrades, removes.
# As root, with systemd, overlayfs and the network (or PIP_ARGS, as for make install). About four minutes:
#
#     sudo systemd/try.sh [PYTHON]
#
# It ends with 0 when everything was as it should be.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${2:-${1:-/usr/bin/python3}}

# --- inside, as a unit of that systemd ---------------------------------------------------------------------

N=porting-aggregator
wrong=0
so() { # DESCRIPTION COMMAND…: it must succeed
    local what=$1
    shift
    if "$@"; then echo "ok    $what"; else
        echo "WRONG $what"
        wrong=1
    fi
}
prop() { systemctl show "$1" -p "$2" --value; }
is() { [ "$(prop "$1" "$2")" = "$3" ] || { echo "      $2 is $(prop "$1" "$2")"; return 1; }; }
reader() { setpriv --reuid=nobody --regid=porting-readers --clear-groups "$PYTHON" -c "
import sqlite3
db = sqlite3.connect('file:/var/lib/$N/aggregator.db?mode=ro', uri=True)
assert db.execute('select count(*) from v1_orders').fetchone()[0] > 0"; }
pid() { prop $N MainPID; }
status() { grep -q "^$1:[[:space:]]*$2\$" "/proc/$(pid)/status"; }
logged() { grep -q "$1" /run/$N.log; }

inside() {
    so "make install" make -s install PYTHON="$PYTHON" PIP_ARGS="${PIP_ARGS:-}"
    printf '[database]\nurl = "sqlite:////var/lib/%s/aggregator.db"\n[accounts.one]\nprovider = "telnyx"\nsecret = "credential:one"\nbase_url = "http://127.0.0.1:18080/v2"\n' $N >/etc/$N/aggregator.toml
    (umask 077 && echo key >/etc/$N/credentials/one)
    $N simulate --orders 20 --port 18080 --speed 0 >/run/simulator.log 2>&1 &
    for unit in $N.service $N-poll@.service; do # there is no network target and no journal in here
        mkdir -p "/etc/systemd/system/$unit.d"
        printf '[Unit]\nDefaultDependencies=no\nWants=\n[Service]\nStandardError=append:/run/%s.log\n' $N >"/etc/systemd/system/$unit.d/here.conf"
    done
    systemctl daemon-reload
    sleep 3
    so "it starts" systemctl start $N
    so "no capability" status CapBnd 0000000000000000
    so "no new privileges" status NoNewPrivs 1
    so "system calls are filtered" status Seccomp 2
    so "the readers' group is its own" [ "$(stat -c %G /proc/"$(pid)")" = porting-readers ]
    sleep 5
    so "a reader reads while it runs" reader
    so "it is reloaded" systemctl reload $N
    so "a one-shot beside it is no failure" systemctl start $N-poll@one
    kill -9 "$(pid)"
    so "a reader reads after a kill" reader
    sleep 7
    so "killed, it is back" is $N NRestarts 1
    so "and takes its account over at once" bash -c "! grep -q account.held /run/$N.log"
    sleep 130
    so "the watchdog does not bite who lives" is $N NRestarts 1
    kill -STOP "$(pid)"
    for _ in $(seq 150); do [ "$(prop $N NRestarts)" = 2 ] && break || sleep 1; done
    so "the watchdog bites who hangs" is $N NRestarts 2
    sleep 2
    kill -ABRT "$(pid)"
    sleep 7
    so "its signal writes every thread's stack" logged "Fatal Python error: Aborted"
    so "it stops" systemctl stop $N
    so "cleanly" is $N Result success
    so "a reader reads after the stop" reader
    so "one file is left" [ "$(ls /var/lib/$N)" = aggregator.db ]
    so "a one-shot polls" systemctl start $N-poll@one
    so "a reader reads between one-shots" reader
    echo 'nonsense' >>/etc/$N/aggregator.toml
    systemctl start $N 2>/dev/null || true
    sleep 7
    so "a broken configuration stays down" is $N ActiveState failed
    so "it is enabled" systemctl enable -q $N $N-poll@one.timer
    so "make install again" make -s install PYTHON="$PYTHON" PIP_ARGS="${PIP_ARGS:-}"
    so "the configuration is kept" grep -q nonsense /etc/$N/aggregator.toml
    so "make uninstall" make -s uninstall
    so "no unit is left" [ -z "$(systemctl list-unit-files --no-legend "$N*")" ]
    so "nothing is enabled" [ -z "$(find /etc/systemd/system -name "$N*" -type l)" ]
    so "configuration, key and data are kept" [ -e /etc/$N/credentials/one -a -e /var/lib/$N/aggregator.db ]
    echo "$wrong" >/run/report/code
}

# --- around it ---------------------------------------------------------------------------------------------

boot() { # in new namespaces
    mount --make-rprivate /
    root=$REPORT/root
    mkdir "$root"
    mount -t tmpfs tmpfs "$root"
    mkdir "$root"/{upper,work,root}
    mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/root"
    root=$root/root
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount --rbind /dev "$root/dev"
    if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    else
        mount -t tmpfs cgroup "$root/sys/fs/cgroup"
        for one in cpu cpuacct memory devices freezer pids; do
            mkdir "$root/sys/fs/cgroup/$one"
            mount -t cgroup -o "$one" cgroup "$root/sys/fs/cgroup/$one" || rmdir "$root/sys/fs/cgroup/$one"
        done
        mkdir "$root"/sys/fs/cgroup/{systemd,unified}
        mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
    fi
    mkdir "$root"/run/{report,old}
    mount --bind "$REPORT" "$root/run/report"
    printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nTimeoutStartSec=900\nEnvironment=HOME=/root "PATH=%s" "PIP_ARGS=%s"\nWorkingDirectory=%s\nStandardOutput=append:/run/report/log\nStandardError=append:/run/report/log\nExecStart=/bin/bash systemd/try.sh inside %s\nExecStopPost=/bin/sh -c "touch /run/report/over"\n' \
        "$PATH" "${PIP_ARGS:-}" "$PWD" "$PYTHON" >"$root/run/try.service"
    mkdir -p "$root/run/systemd/system"
    mv "$root/run/try.service" "$root/run/systemd/system/"
    mkdir -p "$root$PWD"
    mount --bind "$PWD" "$root$PWD"
    cd "$root"
    pivot_root . run/old
    umount -l /run/old
    mount --make-rshared /
    exec env -i container=lxc PATH="$PATH" /lib/systemd/systemd --system --unit=try.service --log-target=null
}

case ${1:-} in
inside) inside ;;
boot) boot ;;
*)
    [ "$(id -u)" = 0 ] || { echo "as root, please" >&2; exit 1; }
    REPORT=$(mktemp -d)
    export REPORT
    touch "$REPORT/log"
    unshare --mount --pid --fork --cgroup --uts --ipc --kill-child bash "$0" boot "$PYTHON" </dev/null >/dev/null 2>&1 &
    tail -f "$REPORT/log" --pid=$! | grep --line-buffered -v "^WARNING" &
    for _ in $(seq 900); do [ -e "$REPORT/over" ] && break || sleep 1; done
    sleep 1
    kill %1 2>/dev/null || true
    wait 2>/dev/null || true
    code=$(cat "$REPORT/code" 2>/dev/null || echo 1)
    rm -r "$REPORT"
    exit "$code"
    ;;
esac
