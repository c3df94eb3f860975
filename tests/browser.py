"""A real browser without a window: Chromium through chromedriver's WebDriver protocol (W3C)."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""Key of an element's id, as the standard says."""
KEYS = {"right": "\ue014", "left": "\ue012", "down": "\ue015", "up": "\ue013"}


def missing() -> str:
    """Why there is no browser; empty if there is one."""
    programs = [p for p in ("chromium", "chromedriver") if shutil.which(p) is None]
    return f"no {' and no '.join(programs)} here" if programs else ""


class Browser:
    """One page at a time; use it as a context manager.

    Args:
        profile: an empty folder.
        width, height: of the window.
    """

    def __init__(self, profile: Path, width: int = 1280, height: int = 900) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._driver = subprocess.Popen(
            [str(shutil.which("chromedriver")), f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._url = f"http://127.0.0.1:{port}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        flags = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
        options = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags, "binary": shutil.which("chromium")},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        try:
            self._wait()
            session = self._call("POST", "/session", capabilities={"alwaysMatch": options})
        except BaseException:
            self._driver.kill()
            self._driver.wait()
            raise
        self._url += f"/session/{session['sessionId']}"
        self._call("POST", "/url", url="about:blank")  # away from the browser's own first page
        self.complaints()
        self.requests()

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self._driver.kill()
            self._driver.wait()

    def open(self, page: Path) -> None:
        self._call("POST", "/url", url=page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function in the page; give what it returns."""
        return self._call("POST", "/execute/sync", script=script, args=list(arguments))

    def click(self, selector: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/value", text=text)

    def style(self, selector: str, name: str) -> str:
        return self._call("GET", f"/element/{self._find(selector)}/css/{name}")

    def emulate(self, **features: str) -> None:
        """Set media features, such as ``color_scheme="dark"``."""
        named = {f"prefers-{k.replace('_', '-')}": v for k, v in features.items()}
        listed = [{"name": name, "value": value} for name, value in named.items()]
        parameters = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": listed}}
        self._call("POST", "/goog/cdp/execute", **parameters)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """What the page's console said since it was last asked."""
        return [entry["message"] for entry in self._call("POST", "/se/log", type="browser")]

    def requests(self) -> list[str]:
        """Addresses that pages asked for since this was last asked."""
        entries = self._call("POST", "/se/log", type="performance")
        events = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            e["params"]["request"]["url"]
            for e in events
            if e["method"] == "Network.requestWillBeSent"
        ]

    def _find(self, selector: str) -> str:
        found = self._call("POST", "/element", using="css selector", value=selector)
        return found[ELEMENT]

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while True:
            try:
                if self._call("GET", "/status")["ready"]:
                    return
            except OSError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.05)

    def _call(self, method: str, path: str, **parameters: Any) -> Any:
        body = json.dumps(parameters).encode() if method == "POST" else None
        request = urllib.request.Request(self._url + path, body, method=method)
        try:
            with self._open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error
