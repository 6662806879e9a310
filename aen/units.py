"""Units: what lets a host start AEN by itself: a systemd unit for a role, a supervisord section, rotation of log files."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aen.config import Config

_TITLES = {
    "all": "team notebooks (all roles)",
    "server": "server",
    "gateway": "gateway",
    "compute": "compute node",
}
LOG_DIR = Path("/var/log/aen")
_ALL = 3  # roles

_UNIT = """\
# Made by `aen install systemd --role {role}`; run that again after moving AEN or its configuration.
[Unit]
Description=AEN: {title}
After=network-online.target remote-fs.target{after}
Wants=network-online.target
StartLimitIntervalSec=60
StartLimitBurst=10

[Service]
Type=notify
NotifyAccess=main
# AEN starts as root, keeps one small privileged launcher, and runs as its service account ({account}).
ExecStart={program} serve --role {role} {files}
ExecReload=/bin/kill -HUP $MAINPID
# Apps and the broker outlive a restart of AEN: only the main process is ended, the launcher follows by itself.
KillMode=process
TimeoutStartSec=180
TimeoutStopSec=60
Restart=on-failure
RestartSec=2
# 2: the configuration is wrong. Starting again would not help.
RestartPreventExitStatus=2
LimitNOFILE=65536
UMask=0027
RuntimeDirectoryPreserve=yes
{hardening}
[Install]
WantedBy=multi-user.target
"""

#: What fits every role: the launcher and apps need the rest of the system as it is.
_MILD = """\
# People's apps are children of the launcher, so little may be taken away here: no ProtectHome, no PrivateTmp (apps would
# see another /tmp after a restart), no device rules (GPUs). Apps themselves can't gain rights: the launcher sees to that.
RestrictRealtime=yes
# What even the launcher, which stays root, never needs: the network, devices, the clock, the kernel.
CapabilityBoundingSet=~CAP_NET_ADMIN CAP_NET_RAW CAP_MKNOD CAP_SYS_RAWIO CAP_SYS_MODULE CAP_SYS_TIME CAP_SYS_BOOT
CapabilityBoundingSet=~CAP_SYSLOG CAP_BPF CAP_PERFMON CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_AUDIT_READ
CapabilityBoundingSet=~CAP_SYS_PACCT CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_IPC_OWNER CAP_LEASE
"""
#: A server or a gateway of its own: nothing but AEN runs. /etc stays writable: the first start makes the service account.
_STRICT = """\
NoNewPrivileges=yes
ProtectSystem=yes
ProtectHome=read-only
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
# Root's only to become the service account, to make it, its directories and files, and to listen on low ports.
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_DAC_OVERRIDE CAP_NET_BIND_SERVICE CAP_AUDIT_WRITE
"""

_SLICE = """\
# Made by `aen install systemd`. Sessions of people are scopes in this slice: limits for all of them together stand here.
[Unit]
Description=AEN: sessions of people

[Slice]
MemoryAccounting=yes
CPUAccounting=yes
TasksAccounting=yes
# CPUWeight=80
# MemoryMax=90%
"""

_SUPERVISORD = """\
; Made by `aen install supervisord --role {role}`. AEN keeps its own privileges: no user= here.
[program:{name}]
command={program} serve --role {role} {files}
directory=/
umask=027
autostart=true
; 2: the configuration is wrong. Starting again would not help.
autorestart=unexpected
exitcodes=0,2
startsecs=3
startretries=10
stopsignal=TERM
stopwaitsecs=60
; Apps and the broker outlive a restart of AEN: never the whole group.
stopasgroup=false
killasgroup=false
minfds=65536
redirect_stderr=true
stdout_logfile={log}
; logrotate turns it over (copytruncate)
stdout_logfile_maxbytes=0
"""

_ROTATION = """\
# Made by `aen install supervisord`. The access log is written by the gateway itself; the broker's by nats-server.
{log} {access} {broker} {{
    weekly
    rotate 8
    compress
    delaycompress
    missingok
    notifempty
    copytruncate
    su root {account}
}}
"""


@dataclass(frozen=True)
class Installed:
    """What is started: roles, program, configuration files; and the configuration with every blank filled."""

    roles: tuple[str, ...]
    program: Path
    files: tuple[Path, ...]
    config: Config

    @property
    def role(self) -> str:
        """What `--role` gets."""
        return "all" if len(self.roles) == _ALL else ",".join(self.roles)

    @property
    def name(self) -> str:
        """Of the unit."""
        return f"aen-{self.role.replace(',', '-')}"


def systemd(installed: Installed) -> dict[str, str]:
    """The units by file name: the service, and on compute nodes the slice of people's sessions."""
    compute = "compute" in installed.roles
    strict = not compute and "pam" not in installed.config.server.login.backends
    unit = _UNIT.format(
        role=installed.role,
        title=_TITLES.get(installed.role, " and ".join(installed.roles)),
        after=" mongod.service" if installed.config.store.url.startswith("mongodb") else "",
        account=installed.config.service_account,
        program=_quoted(installed.program),
        files=" ".join(f"-c {_quoted(path)}" for path in installed.files),
        hardening=_STRICT if strict else _MILD,
    )
    made = {f"{installed.name}.service": unit}
    return made | ({"aen-apps.slice": _SLICE} if compute else {})


def supervisord(installed: Installed) -> dict[str, str]:
    """The section and the rotation of logs, by their place below /etc."""
    data, log = installed.config.data_dir, LOG_DIR / f"{installed.name}.log"
    section = _SUPERVISORD.format(
        role=installed.role,
        name=installed.name,
        program=_quoted(installed.program),
        files=" ".join(f"-c {_quoted(path)}" for path in installed.files),
        log=log,
    )
    rotation = _ROTATION.format(
        log=log,
        access=data / "gateway/access.log",
        broker=data / "broker/log",
        account=installed.config.service_account,
    )
    return {f"supervisor/conf.d/{installed.name}.conf": section, f"logrotate.d/{installed.name}": rotation}


def verify(units: list[Path]) -> list[str]:
    """What systemd itself says is wrong with them; nothing where it is not there."""
    if shutil.which("systemd-analyze") is None:
        return []
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return [line for line in done.stderr.splitlines() if line.strip()]


def _quoted(path: Path) -> str:
    """As systemd and supervisord read one word."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if " " in text else text
