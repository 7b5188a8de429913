"""A headless Chromium that a test drives: types, clicks, reads. It speaks the DevTools protocol over a pipe."""

import fcntl
import json
import os
import select
import shutil
import signal
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe")
SECONDS = 90  # for one answer of the browser, or one condition on the page
WAIT = """new Promise(done => {
  const look = () => {
    let value;
    try { value = (%s); } catch { value = undefined; }  // a part of it is not there yet
    value ? done(value) : requestAnimationFrame(look);
  };
  look();
})"""
PLACE = """new Promise(done => {  // where an element is once it moves no more and nothing covers it
  let before = '', still = 0;
  const look = () => {
    let element;
    try { element = (%s); } catch { element = undefined; }
    element?.scrollIntoView({block: 'center', behavior: 'instant'});
    const box = element?.getBoundingClientRect();
    const place = box ? [box.left + box.width / 2, box.top + box.height / 2] : [-1, -1];
    still = String(place) === before && element?.contains(document.elementFromPoint(...place)) ? still + 1 : 0;
    before = String(place);
    still > 2 ? done(place) : requestAnimationFrame(look);
  };
  look();
})"""


def chromium_program():
    """Returns the path of a Chromium on this machine, or `None`."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One browser with one page.

    Args:
        program: str. Path of the browser.
        profile: path. A folder of its own.

    Attributes:
        addresses: list of str. Addresses of all requests of the page, those that it was not allowed to make, too.
        problems: list of str. What scripts of the page wrote as errors.
    """

    def __init__(self, program, profile):
        self.addresses, self.problems, self.number, self.session, self.rest = [], [], 0, None, b""
        command, self.output = os.pipe()
        self.input, answer = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (command, answer)]  # none is 3 or 4
        actions = [(os.POSIX_SPAWN_DUP2, end, number) for end, number in zip(ends, (3, 4), strict=True)]
        actions += [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
        arguments = [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        self.process = os.posix_spawn(program, arguments, os.environ, file_actions=actions, setpgroup=0)
        for end in (command, answer, *ends):
            os.close(end)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Returns the result of one method of the protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.output, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + SECONDS
        while True:
            answer = self._next(until, method)
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, parameters, answer["error"])
                return answer["result"]
            self._note(answer)

    def open(self, address):
        """Opens an address."""
        self.call("Page.navigate", url=address)

    def read(self, expression):
        """Returns the value of a JavaScript expression; a promise's when it is fulfilled."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, (expression, found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, condition):
        """Waits until a JavaScript expression is true of the page, and returns its value."""
        return self.read(WAIT % condition)

    def click(self, element):
        """Presses the mouse on an element, given as a JavaScript expression."""
        x, y = self.read(PLACE % element)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, element, text):
        """Replaces the text of a field, given as a JavaScript expression, as by the keyboard."""
        self.click(element)
        self.read(f"{element}.select()")
        self.call("Input.insertText", text=text)

    def close(self):
        """Ends the browser and its processes."""
        os.close(self.output)
        os.close(self.input)
        try:
            os.killpg(self.process, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.process, 0)

    def _next(self, until, method):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.input], [], [], max(0, until - time.monotonic()))
            assert ready, f"the browser did not answer {method} in {SECONDS} seconds"
            data = os.read(self.input, 1 << 16)
            assert data, f"the browser ended at {method}"
            self.rest += data
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event):
        parameters = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.addresses.append(parameters["request"]["url"])
        if event.get("method") == "Network.webSocketCreated":
            self.addresses.append(parameters["url"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(parameters["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(f"{parameters['entry'].get('url', '')} {parameters['entry']['text']}")
