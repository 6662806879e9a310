"""A virtual machine: booted, spoken to by SSH, cut off from its power, ended. Reached on this machine's loopback interface alone."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port
from tests.vm.image import HERE

MEGABYTES = 2048
_BOOT_SECONDS = 400  # without KVM
_SIGN_SECONDS = 40  # by then a kernel has said something
_SSH = (
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
    "-o",
    "BatchMode=yes",
)


def _becomes(fact: Callable[[], bool], seconds: float) -> bool:
    """Whether it is so within that time."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)  # between two looks; the fact decides, not the time
    return True


@dataclass
class Machine:
    """One machine. `ports` are the same inside and on this machine's loopback interface. `kernel`: more words for its command line."""

    disk: Path
    ports: Sequence[int] = ()
    kernel: str = ""
    process: subprocess.Popen[bytes] | None = None
    ssh_port: int = field(default_factory=free_port)

    @property
    def console(self) -> Path:
        """What it says while it starts and goes down."""
        return self.disk.with_suffix(".console")

    def boot(self) -> None:
        """Switch it on and wait until it lets us in."""
        self._start()
        if _accelerator() == "kvm" and not self._says_something():
            self.cut()
            (HERE / "accelerator").write_text("tcg")  # a /dev/kvm that runs no Linux, as inside some virtual machines
            self._start()
        self.wait()

    def _start(self) -> None:
        self.console.unlink(missing_ok=True)
        with self.console.with_suffix(".qemu").open("w") as said:
            self.process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def _says_something(self) -> bool:
        return _becomes(
            lambda: self.console.exists() and self.console.read_text(errors="replace").count("\n") > 5, _SIGN_SECONDS
        )

    def wait(self) -> None:
        """Until SSH answers."""
        assert _becomes(self._lets_us_in, _BOOT_SECONDS), self._with_console("it did not boot")

    def _lets_us_in(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._with_console("the machine ended")
        return self.ask("true", timeout=20).returncode == 0

    def reboot(self) -> None:
        """As `systemctl reboot` does."""
        read = "cat /proc/sys/kernel/random/boot_id"
        before = self.run(read)
        self.ask("systemctl reboot", timeout=30)
        came_back = _becomes(lambda: self.ask(read, timeout=10).stdout not in ("", before), _BOOT_SECONDS)
        assert came_back, self._with_console("it did not come back")

    def _with_console(self, what: str) -> str:
        return f"{what}: {self.console.read_text(errors='replace')[-4000:]}"

    def cut(self) -> None:
        """The power fails."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def off(self) -> None:
        """Go down in order; what takes too long is cut."""
        if self.process is None:
            return
        self.ask("systemctl poweroff", timeout=20)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    # ── in it ───────────────────────────────────────────────────────────────────────────────────────

    def ask(
        self, command: str, stdin: str | bytes = "", timeout: float = 120, account: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the shell as root (or another account that knows our key)."""
        ssh = [
            "ssh",
            *_SSH,
            "-o",
            f"ConnectTimeout={min(10, int(timeout))}",
            "-i",
            str(HERE / "key"),
            "-p",
            str(self.ssh_port),
        ]
        data = stdin.encode() if isinstance(stdin, str) else stdin
        try:
            done = subprocess.run(
                [*ssh, f"{account}@127.0.0.1", command], input=data, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", f"not done within {timeout:g} s")
        return subprocess.CompletedProcess(
            command, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def run(self, command: str, stdin: str | bytes = "", timeout: float = 120) -> str:
        """What it printed. AssertionError when it failed."""
        done = self.ask(command, stdin, timeout)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """A file of root's."""
        self.run(f"mkdir -p {shlex.quote(os.path.dirname(path))} && cat > {shlex.quote(path)}", text)

    def _command(self) -> list[str]:
        forward = "".join(
            f",hostfwd=tcp:127.0.0.1:{outer}-:{inner}"
            for outer, inner in [(self.ssh_port, 22), *((port, port) for port in self.ports)]
        )
        words = f"root=/dev/vda rw console=ttyS0 {self.kernel}".strip()
        return [
            *("qemu-system-x86_64", "-accel", _accelerator(), "-cpu", "max", "-m", str(MEGABYTES), "-smp", "2"),
            *("-display", "none", "-monitor", "none", "-serial", f"file:{self.console}"),
            *("-kernel", str(HERE / "vmlinuz"), "-initrd", str(HERE / "initrd.img"), "-append", words),
            # Whatever the guest was told is written, is on the disk that the next start sees.
            *("-drive", f"file={self.disk},if=virtio,format=qcow2,cache=writethrough"),
            *("-nic", f"user,model=virtio-net-pci{forward}", "-device", "virtio-rng-pci"),
        ]


def _accelerator() -> str:
    """What runs it: the processor itself where that works, else emulation (some ten times slower)."""
    found = HERE / "accelerator"
    if not found.exists():
        found.write_text("kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg")
    return found.read_text()


def layer(below: Path, above: Path) -> Path:
    """A disk that begins as `below` is and keeps what changes to itself."""
    kind = "raw" if below.suffix == ".img" else "qcow2"
    above.unlink(missing_ok=True)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(below.resolve()), "-F", kind, str(above)], check=True
    )
    return above
