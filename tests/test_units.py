"""The units: every directive that is promised stands in them, systemd takes them without a word, little is exposed,
and the program runs under what they forbid.

Where systemd-analyze is not installed, the directives are still checked one by one, and the test says what it left
out.
"""

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from aggregator.simulator import Running

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "systemd"
DAEMON, ONE_SHOT = "porting-aggregator.service", "porting-aggregator-poll@.service"
TIMER = "porting-aggregator-poll@.timer"
ANALYZE = shutil.which("systemd-analyze")
MOST = 12  # a tenth of this is the exposure that is allowed: 1.2
MOST_STRICT = 9
TARGETS = ("basic", "sysinit", "shutdown", "network-online", "time-sync", "multi-user", "timers")

SANDBOX = """
User=porting-aggregator
Group=porting-readers
StateDirectory=porting-aggregator
StateDirectoryMode=0750
UMask=0027
ConfigurationDirectory=porting-aggregator
LoadCredential=account:/etc/porting-aggregator/credentials
LimitCORE=0
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
MemoryDenyWriteExecute=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateMounts=yes
PrivateIPC=yes
RemoveIPC=yes
PrivateUsers=yes
ProtectProc=invisible
ProcSubset=pid
KeyringMode=private
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
IPAddressDeny=link-local multicast
MemoryMax=512M
TasksMax=64
LimitNOFILE=1024
Wants=network-online.target
After=network-online.target time-sync.target
Environment=PORTING_AGGREGATOR_CONFIG=/etc/porting-aggregator/aggregator.toml
Environment=PORTING_AGGREGATOR_BOOT_ID=%b
WorkingDirectory=/var/lib/porting-aggregator
"""
OF_THE_DAEMON = """
Type=notify
NotifyAccess=main
ExecStart=/usr/local/bin/porting-aggregator run
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=120
WatchdogSignal=SIGABRT
Restart=always
RestartSec=5
RestartPreventExitStatus=78
StartLimitIntervalSec=600
StartLimitBurst=10
TimeoutStartSec=120
TimeoutStopSec=60
RuntimeDirectory=porting-aggregator
WantedBy=multi-user.target
"""
OF_THE_ONE_SHOT = """
Type=oneshot
ExecStart=/usr/local/bin/porting-aggregator poll --due %i
SuccessExitStatus=75
TimeoutStartSec=10min
RuntimeDirectory=porting-aggregator-poll-%i
"""
OF_THE_TIMER = """
OnBootSec=1min
OnUnitInactiveSec=5min
RandomizedDelaySec=30
AccuracySec=1s
WantedBy=timers.target
"""
OF_THE_STRICT = """
IPAddressDeny=any
IPAddressAllow=localhost
"""


def left_out(what: str) -> None:
    """What this host cannot show."""
    sys.stderr.write(f"{what}\n")


def directives(text: str) -> list[str]:
    """The lines of a unit that say something, sorted; a description may say what it likes."""
    lines = (line.strip() for line in text.splitlines())
    return sorted(
        line for line in lines if line and line[0] not in "#[" and not line.startswith("Description=")
    )


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        (DAEMON, SANDBOX + OF_THE_DAEMON),
        (ONE_SHOT, SANDBOX + OF_THE_ONE_SHOT),
        (TIMER, OF_THE_TIMER),
        ("strict.conf", OF_THE_STRICT),
    ],
)
def test_a_unit_says_what_is_promised_and_nothing_else(name: str, promised: str) -> None:
    """A directive that is dropped, weakened or added is a decision, to be made here as well."""
    assert directives((UNITS / name).read_text("utf-8")) == directives(promised)


# --- what systemd makes of them -------------------------------------------------------------------------


def analyzed(*arguments: str | Path) -> tuple[int, str]:
    """What systemd-analyze says, all of it, and its exit status."""
    assert ANALYZE is not None
    command = [ANALYZE, *map(str, arguments)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return ended.returncode, ended.stdout


def host(root: Path) -> Path:
    """A root with the shipped files where `make install` puts them, and nothing else than what they name."""
    units = root / "usr/local/lib/systemd/system"
    targets = root / "usr/lib/systemd/system"
    for folder in (units, targets, root / "usr/local/bin", root / "bin"):
        folder.mkdir(parents=True)
    for name in (DAEMON, ONE_SHOT, TIMER):
        shutil.copy(UNITS / name, units)
    for target in TARGETS:
        (targets / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for program in (root / "usr/local/bin/porting-aggregator", root / "bin/kill"):
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return units


EVERY = (DAEMON, ONE_SHOT.replace("@", "@telnyx-main"), TIMER.replace("@", "@telnyx-main"))


def test_systemd_takes_the_units_without_a_word(tmp_path: Path) -> None:
    units = host(tmp_path)
    if ANALYZE is None:
        left_out(
            "systemd-analyze is not here: the units are compared with what is promised, not read by systemd"
        )
        return
    for unit in EVERY:
        assert analyzed(f"--root={tmp_path}", "verify", unit) == (0, ""), unit
    with (units / DAEMON).open("a") as unit_file:
        unit_file.write("[Service]\nProtectHom=yes\n")
    assert "ProtectHom" in analyzed(f"--root={tmp_path}", "verify", DAEMON)[1]


@pytest.mark.parametrize("name", [DAEMON, ONE_SHOT])
def test_little_of_a_service_is_exposed_and_still_less_behind_a_proxy(name: str, tmp_path: Path) -> None:
    if ANALYZE is None:
        left_out("systemd-analyze is not here: the exposure is not measured")
        return
    secure = ("security", "--offline=yes", "--no-pager")
    unit = Path(shutil.copy(UNITS / name, tmp_path))
    code, said = analyzed(*secure, f"--threshold={MOST}", unit)
    assert code == 0, said
    unit.write_text(unit.read_text("utf-8").replace("CapabilityBoundingSet=\n", ""))
    assert analyzed(*secure, f"--threshold={MOST}", unit)[0] != 0, "the gate lets everything pass"
    shutil.copy(UNITS / name, tmp_path)
    drop_in = tmp_path / f"{name}.d"
    drop_in.mkdir()
    shutil.copy(UNITS / "strict.conf", drop_in)
    code, said = analyzed(*secure, f"--threshold={MOST_STRICT}", unit)
    assert code == 0, said


SYSUSERS = shutil.which("systemd-sysusers")


def test_the_services_own_group_is_the_readers(tmp_path: Path) -> None:
    """What is done beside the service, as its user, must leave files that readers can read, too."""
    said = UNITS / "porting-aggregator.sysusers"
    assert directives(said.read_text("utf-8")) == [
        "g porting-readers -",
        'u porting-aggregator -:porting-readers "Porting aggregator" /var/lib/porting-aggregator',
    ]
    if SYSUSERS is None or os.geteuid() != 0:
        left_out("systemd-sysusers is not here, or we are not root: no user is made of the file")
        return
    (tmp_path / "etc").mkdir()
    for _ in range(2):
        subprocess.run([SYSUSERS, f"--root={tmp_path}", str(said)], check=True, stderr=subprocess.PIPE)
    (user,) = (line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines())
    (group,) = (line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines())
    assert (user[0], group[0], user[3]) == ("porting-aggregator", "porting-readers", group[2])
    assert user[6].endswith("nologin")


# --- the program under them -----------------------------------------------------------------------------

TOML = """
[database]
url = "sqlite:///aggregator.db"
[accounts.telnyx-main]
provider = "telnyx"
secret = "credential:telnyx-main"
base_url = "{base}"
[accounts.telnyx-main.feeds]
porting_events = {{ start = "90d" }}
portout_events = {{ start = "90d" }}
"""
TRIES = """
import ctypes, mmap, os, socket, sys
def unshare():
    if ctypes.CDLL(None).unshare(0x20000):
        raise OSError
for name, attempt in {
    "change an owner": lambda: os.chown(sys.argv[1], 1, 1),
    "use another family": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "make a namespace": unshare,
    "write what is run": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
}.items():
    try:
        attempt()
        print("could", name)
    except OSError:
        pass
"""


def sandboxed(unit: str, *command: str) -> list[str]:
    """A command that runs under what a unit forbids."""
    launcher = str(Path(__file__).with_name("sandboxed.py"))
    return [sys.executable, launcher, str(UNITS / unit), sys.executable, *command]


def test_what_a_unit_forbids_cannot_be_done(tmp_path: Path) -> None:
    """Else the next test would show nothing."""
    (tmp_path / "file").touch()
    command = sandboxed(DAEMON, "-c", TRIES, str(tmp_path / "file"))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    left_out(ended.stderr)
    assert ended.stderr or ended.stdout == ""


def test_the_program_runs_under_what_its_units_forbid(
    simulate: Callable[..., Running], tmp_path: Path
) -> None:
    sim = simulate("--orders", "8", "--speed", "0", "--require-auth")
    sim.advance(20 * 86_400)
    truth = sim.truth()["telnyx"]
    events = len(truth["porting_events"]) + len(truth["portout_events"])
    assert events > 10
    (tmp_path / "aggregator.toml").write_text(TOML.format(base=sim.telnyx), "utf-8")
    (tmp_path / "account_telnyx-main").write_text(sim.telnyx_key, "ascii")
    address = str(tmp_path / "notify")
    environ = {
        **os.environ,
        "PORTING_AGGREGATOR_CONFIG": str(tmp_path / "aggregator.toml"),
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "NOTIFY_SOCKET": address,
        "WATCHDOG_USEC": "600000",
    }
    poll = sandboxed(ONE_SHOT, "-m", "aggregator", "poll", "--due", "telnyx-main")
    once = subprocess.run(poll, env=environ, capture_output=True, text=True, timeout=60)
    assert once.returncode == 0, once.stderr
    url = f"file:{tmp_path / 'aggregator.db'}?mode=ro"
    with closing(sqlite3.connect(url, uri=True)) as database:
        assert database.execute("select count(*) from v1_events").fetchone() == (events,)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(60)
        daemon = subprocess.Popen(
            sandboxed(DAEMON, "-m", "aggregator", "run"), env=environ, stderr=subprocess.PIPE, text=True
        )
        try:
            told = {notify.recv(4096).decode().partition("\n")[0] for _ in range(3)}
            assert {"READY=1", "WATCHDOG=1"} <= told
        finally:
            daemon.send_signal(signal.SIGTERM)
            _, log = daemon.communicate(timeout=30)
    assert daemon.returncode == 0, log
    assert '"error"' not in log
    assert stat.S_IMODE((tmp_path / "aggregator.db").stat().st_mode) == 0o640
