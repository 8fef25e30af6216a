"""A headless Chromium inside a namespace, driven by the DevTools protocol over a pair of pipes: no port, no library."""

import base64
import json
import os
import select
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import wait_for
from vpnlab.net import Namespace
from vpnlab.workspace import Workspace

ANSWER_TIMEOUT_S = 20.0
READ_BYTES = 1 << 20

# What a test has no use for; the namespace leads nowhere anyway.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
    "--remote-debugging-pipe",
)

KEYS: Mapping[str, tuple[str, int, str]] = {  # its code, its number, the text that it enters
    "Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), " ": ("Space", 32, " "),
}
SHIFT = 8


class BrowserError(AssertionError):
    """The browser says no."""


class Browser:
    """One Chromium with a profile of its own, ended with the workspace at the latest."""

    def __init__(self, workspace: Workspace, namespace: Namespace, log: Path) -> None:
        self._workspace = workspace
        home = workspace.directory / "chromium"
        home.mkdir(exist_ok=True)
        pipes = [home / "in", home / "out"]
        for pipe in pipes:
            pipe.unlink(missing_ok=True)
            os.mkfifo(pipe)
        # Opened for both ways, neither end waits for the other.
        self._in, self._out = (os.open(pipe, os.O_RDWR) for pipe in pipes)
        self._buffer = b""
        self._last_id = 0
        self.events: list[dict[str, Any]] = []
        # The protocol is spoken over descriptors 3 and 4.
        script = 'read=$1 write=$2; shift 2; exec chromium "$@" 3<"$read" 4>"$write"'
        argv = ["sh", "-c", script, "sh", *map(str, pipes), *OPTIONS, f"--user-data-dir={home}", "about:blank"]
        self._process = workspace.processes.start("chromium", argv, log, namespace=namespace,
                                                  environment={"HOME": str(home)})

    def close(self) -> None:
        self._workspace.processes.stop([self._process])
        os.close(self._in)
        os.close(self._out)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """One command and its result; the events that come meanwhile are kept."""
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            answer = self._read(deadline, method)
            if answer.get("id") == self._last_id:
                break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self, deadline: float, method: str) -> dict[str, Any]:
        """The next message; an event is noted."""
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._out], [], [], left)[0]:
                raise BrowserError(f"{method}: no answer of Chromium:\n{self._process.tail()}")
            self._buffer += os.read(self._out, READ_BYTES)
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def page(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> "Page":
        """A new tab."""
        return Page(self, width, height, scheme)


class Page:
    """A tab: what it shows, what it is asked to do, and what went wrong in it."""

    def __init__(self, browser: Browser, width: int, height: int, scheme: str) -> None:
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._target = target
        for domain in ("Page", "Runtime", "Log", "Network", "Performance"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.prefer(scheme)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def prefer(self, scheme: str) -> None:
        """The colours that the system asks for: light or dark. Nothing moves, so that nothing is half-way."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme},
                                                          {"name": "prefers-reduced-motion", "value": "reduce"}])

    def open(self, url: str) -> None:
        """Goes there and waits until the document is complete."""
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise BrowserError(f"{url}: {failed}")
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'", f"{url} loaded")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise BrowserError(f"{expression}: {json.dumps(done['exceptionDetails'])[:2000]}")
        return done["result"].get("value")

    def wait(self, expression: str, what: str, timeout_s: float = 15.0) -> Any:
        """Waits until an expression is true, and returns its value."""
        return wait_for(lambda: self.evaluate(expression), what, timeout_s)

    def text(self, selector: str) -> str:
        """What the first element that is found shows."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def wait_text(self, selector: str, words: str, timeout_s: float = 15.0) -> str:
        """Waits until the element's text has these words in it."""
        return str(self.wait(
            f"(t => t.includes({json.dumps(words)}) && t)(document.querySelector({json.dumps(selector)})?.innerText ?? '')",
            f"'{words}' in {selector}", timeout_s))

    def click(self, selector: str) -> None:
        """Presses the mouse button in the middle of what is found first, which must be what is seen there."""
        where = self.evaluate(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect();"
            " const x = r.x + r.width / 2, y = r.y + r.height / 2; const seen = document.elementFromPoint(x, y);"
            f" return e.contains(seen) ? [x, y] : null; }})(document.querySelector({json.dumps(selector)}))")
        if where is None:
            raise BrowserError(f"{selector} cannot be clicked")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def press(self, key: str, *, shift: bool = False) -> None:
        """One key of KEYS, down and up."""
        code, number, text = KEYS[key]
        modifiers = SHIFT if shift else 0
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Enters text where the keyboard is."""
        self.call("Input.insertText", text=text)

    def events(self, method: str) -> list[dict[str, Any]]:
        """What this tab has told of that kind."""
        self.evaluate("0")  # Whatever happened before has been read then.
        return [event["params"] for event in self._browser.events
                if event["method"] == method and event.get("sessionId") == self._session]

    def complaints(self) -> list[str]:
        """Errors and warnings in the console, exceptions, and what the policy has stopped; not: nobody answers."""
        said = [json.dumps(event["args"]) for event in self.events("Runtime.consoleAPICalled")
                if event["type"] in ("error", "warning", "assert")]
        thrown = [json.dumps(event["exceptionDetails"]) for event in self.events("Runtime.exceptionThrown")]
        logged = [event["entry"]["text"] for event in self.events("Log.entryAdded")
                  if event["entry"]["level"] in ("error", "warning") and event["entry"]["source"] != "network"]
        return said + thrown + logged

    def requests(self) -> set[str]:
        """Every URL that was asked for."""
        return {event["request"]["url"] for event in self.events("Network.requestWillBeSent")}

    def first_paint_ms(self) -> float:
        """From the beginning of the navigation until something was to be seen."""
        return float(self.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime", "first paint"))

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of what is to be seen, or of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}} if whole else {}
        path.write_bytes(base64.b64decode(
            self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **clip)["data"]))
