"""A program on a terminal that a test plays: what it shows, and the keys that it gets."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable

import pyte

PATIENCE_S = 20.0

UP, DOWN, ESCAPE, ENTER, BACKSPACE, CTRL_C, CTRL_Z = "\033[A", "\033[B", "\033", "\r", "\x7f", "\x03", "\x1a"

BEGIN_UPDATE, END_UPDATE = b"\033[?2026h", b"\033[?2026l"

# xterm's alternate screen, which pyte does not know: the test keeps track of it by itself.
ALTERNATE, NORMAL = b"\033[?1049h", b"\033[?1049l"


class Terminal:
    """Runs the command on a terminal of that size; its screen is what an xterm would show."""

    def __init__(self, argv: list[str], columns: int = 80, lines: int = 24, **env: str) -> None:
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.is_alternate = False
        self.output = b""
        self.resize(columns, lines, tell=False)
        self.slave = slave  # held open, so that its settings can be read when the program has ended

        def claim() -> None:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        environment = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], **env}
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment,
                                        preexec_fn=claim)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns: int, lines: int, *, tell: bool = True) -> None:
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def read(self, timeout_s: float = 0.05) -> None:
        """Takes in what the program writes within that time, and the rest of a drawing that has begun."""
        while select.select([self.master], [], [], timeout_s)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # Nobody has the other end open any more.
                return
            self.output += data
            at, back = data.rfind(ALTERNATE), data.rfind(NORMAL)
            if at != back:
                self.is_alternate = at > back
            self.stream.feed(data)
            is_whole = self.output.rfind(BEGIN_UPDATE) <= self.output.rfind(END_UPDATE)
            timeout_s = 0.0 if is_whole else 1.0

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def text(self) -> str:
        return "\n".join(self.lines())

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait(self, wanted: Callable[[str], object], what: str) -> str:
        """Waits until the screen satisfies `wanted`; the screen."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.read()
            text = self.text()
            if wanted(text):
                return text
            assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s: {what}\n{text}"
            assert self.process.poll() is None or wanted(text), f"it has ended; {what}\n{text}"

    def wait_for(self, words: str) -> str:
        return self.wait(lambda text: words in text, repr(words))

    def wait_gone(self, words: str) -> str:
        return self.wait(lambda text: words not in text, f"no {words!r}")

    def wait_end(self) -> int:
        """Waits for the program's end: its status. The terminal must be as it was before."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < deadline, f"it does not end\n{self.text()}"
        self.read()
        self.check_restored()
        return self.process.returncode

    def check_restored(self) -> None:
        assert not self.is_alternate, "the alternate screen is still there"
        assert self.output.rfind(b"\033[?25h") >= self.output.rfind(b"\033[?25l"), "the cursor is still hidden"
        assert termios.tcgetattr(self.slave) == self.before, "the terminal's settings are not what they were"
