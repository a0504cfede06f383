#!/bin/sh
# What `make install` and `make uninstall` do. As root; with DESTDIR into a scratch root, as anybody.
#
#   PREFIX     /usr/local     the program: PREFIX/lib/porting-aggregator, a venv; the link: PREFIX/bin
#   UNITS      PREFIX/lib/systemd/system
#   SYSUSERS   PREFIX/lib/sysusers.d
#   DESTDIR    nothing        put before every path, written into none
#   PYTHON     python3        the Python that the program is to run with
#   PIP_ARGS   nothing        more for pip, which can install from wheels that you brought along
#
# A second installation is an upgrade: the new program is built beside the old one and takes its place when it is
# whole. The configuration, the keys and the data are never touched.
set -eu
umask 022
cd "$(dirname "$0")/.."

NAME=porting-aggregator
DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr/local}
UNITS=${UNITS:-$PREFIX/lib/systemd/system}
SYSUSERS=${SYSUSERS:-$PREFIX/lib/sysusers.d}
PYTHON=${PYTHON:-python3}
PIP_ARGS=${PIP_ARGS:-}
ETC=/etc/$NAME
STATE=/var/lib/$NAME
HOME_OF_IT=$PREFIX/lib/$NAME
SHARE=$PREFIX/share/$NAME
WANTS=/etc/systemd/system

say() { printf '%s\n' "$*"; }
stop() { say "$*" >&2; exit 1; }
# On the host itself, where a systemd runs.
with_systemd() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

ready() {
    case $PREFIX in /*) ;; *) stop "PREFIX must be an absolute path, not '$PREFIX'" ;; esac
    [ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || stop "make $1 must be typed as root (or with DESTDIR=..., into a scratch root)"
}

# --- install -----------------------------------------------------------------------------------------------

venv() {
    new=$DESTDIR$HOME_OF_IT.new
    rm -rf "$new"
    mkdir -p "$DESTDIR$PREFIX/lib"
    trap 'rm -rf "$new"' EXIT
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "Python 3.11 or newer is needed; name it: make install PYTHON=python3.12"
    "$PYTHON" -m venv "$new" || stop "no venv could be made (on Debian: apt-get install python3-venv)"
    say "Installing into $HOME_OF_IT: about 20 seconds, 170 MB."
    pip="$new/bin/python -m pip install -q --disable-pip-version-check --no-compile"
    # PIP_ARGS is several words.
    $pip $PIP_ARGS --require-hashes --only-binary :all: -r requirements.txt
    $pip --no-index --no-deps --no-build-isolation .
    # Nothing of where it was built may be left in it: not the .new, not DESTDIR.
    find "$new/bin" "$new/pyvenv.cfg" -type f -exec grep -lIF "$new" {} + |
        while IFS= read -r file; do sed -i "s|$new|$HOME_OF_IT|g" "$file"; done
    "$new/bin/python" -m compileall -q -s "$new" -p "$HOME_OF_IT" "$new/lib"
    "$new/bin/python" -c 'import aggregator.cli, aggregator.store' # a broken one never takes the old one's place
}

swap() {
    if [ -d "$DESTDIR$HOME_OF_IT" ]; then
        rm -rf "$DESTDIR$HOME_OF_IT.old"
        mv "$DESTDIR$HOME_OF_IT" "$DESTDIR$HOME_OF_IT.old"
    fi
    mv "$new" "$DESTDIR$HOME_OF_IT"
    rm -rf "$DESTDIR$HOME_OF_IT.old"
    mkdir -p "$DESTDIR$PREFIX/bin"
    ln -sfn "$HOME_OF_IT/bin/$NAME" "$DESTDIR$PREFIX/bin/$NAME"
}

files() {
    install -d -m 0755 "$DESTDIR$UNITS" "$DESTDIR$SYSUSERS" "$DESTDIR$SHARE"
    for unit in $NAME.service $NAME-poll@.service $NAME-poll@.timer; do
        sed "s|/usr/local/bin/|$PREFIX/bin/|" "systemd/$unit" >"$DESTDIR$UNITS/$unit"
        chmod 0644 "$DESTDIR$UNITS/$unit"
    done
    install -m 0644 systemd/$NAME.sysusers "$DESTDIR$SYSUSERS/$NAME.conf"
    install -m 0644 systemd/strict.conf "$DESTDIR$SHARE"
    sed "s|^url = .*|url = \"sqlite:///$STATE/aggregator.db\"|" config/aggregator.example.toml \
        >"$DESTDIR$SHARE/aggregator.example.toml"
    chmod 0644 "$DESTDIR$SHARE/aggregator.example.toml"
    install -d -m 0755 "$DESTDIR$ETC"
    install -d -m 0700 "$DESTDIR$ETC/credentials"
    if [ -e "$DESTDIR$ETC/aggregator.toml" ]; then
        say "Left as it is: $ETC/aggregator.toml (what is new: $SHARE/aggregator.example.toml)"
    else
        install -m 0644 "$DESTDIR$SHARE/aggregator.example.toml" "$DESTDIR$ETC/aggregator.toml"
    fi
}

people() {
    if [ -n "$DESTDIR" ]; then
        say "Left out in a scratch root: the user $NAME, the group porting-readers, $STATE"
        return
    fi
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers "$SYSUSERS/$NAME.conf"
    elif ! id $NAME >/dev/null 2>&1; then
        getent group porting-readers >/dev/null || groupadd --system porting-readers
        useradd --system --gid porting-readers --home-dir $STATE --no-create-home --shell /usr/sbin/nologin $NAME
    fi
    [ -d $STATE ] || install -d -o $NAME -g porting-readers -m 0750 $STATE
}

startable() {
    real=$("$DESTDIR$HOME_OF_IT/bin/python" -c 'import os, sys; print(os.path.realpath(sys.executable))')
    case $real in
    /root/* | /home/* | /run/user/*)
        say "WARNING: the units hide home directories, so the service could not start $real;" >&2
        say "         name another Python: make install PYTHON=/usr/bin/python3" >&2
        ;;
    esac
}

# --- uninstall ---------------------------------------------------------------------------------------------

instances() {
    find $WANTS -path "*.wants/*" \( -name "$NAME.service" -o -name "$NAME-poll@*" \) -exec basename {} \; 2>/dev/null | sort -u
}

case ${1:-} in
install)
    ready install
    venv
    swap
    files
    people
    startable
    if with_systemd; then
        systemctl daemon-reload
    else
        say "Left out, as no systemd runs here: systemctl daemon-reload"
    fi
    say "$("$DESTDIR$HOME_OF_IT/bin/python" -m aggregator --version) is in $PREFIX/bin. Now:"
    say "  first time:  edit $ETC/aggregator.toml, put each key into $ETC/credentials/NAME, then"
    say "               $NAME check && systemctl enable --now $NAME"
    say "  upgrade:     systemctl stop $NAME && runuser -u $NAME -- $NAME db upgrade && systemctl start $NAME"
    ;;
uninstall)
    ready uninstall
    if with_systemd; then
        for unit in $(instances) $NAME.service; do systemctl disable --now "$unit" || true; done
        systemctl stop "$NAME-poll@*" || true
    else
        say "Left out, as no systemd runs here: stopping and disabling the units"
    fi
    rm -rf "$DESTDIR$HOME_OF_IT" "$DESTDIR$HOME_OF_IT.new" "$DESTDIR$HOME_OF_IT.old" "$DESTDIR$SHARE"
    rm -f "$DESTDIR$PREFIX/bin/$NAME" "$DESTDIR$SYSUSERS/$NAME.conf"
    rm -f "$DESTDIR$UNITS/$NAME.service" "$DESTDIR$UNITS/$NAME-poll@.service" "$DESTDIR$UNITS/$NAME-poll@.timer"
    if with_systemd; then systemctl daemon-reload; fi
    say "Kept: the configuration and the keys in $ETC, the data in $STATE, the user $NAME and the group"
    say "porting-readers. To be rid of them too:  rm -r $ETC $STATE; userdel $NAME; groupdel porting-readers"
    ;;
*) stop "usage: install.sh install | uninstall" ;;
esac
