"""A daemon of a test's making: answers on a UNIX socket as ikelb does."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path


class FakeDaemon:
    """Answers each request on a UNIX socket with what `answer` makes of its target; one request a connection."""

    def __init__(self, path: Path, answer: Callable[[str], tuple[int, object]]) -> None:
        self.answer = answer
        self.targets: list[str] = []
        self.methods: list[str] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request and (data := connection.recv(4096)):
                    request += data
                if not request:
                    continue
                method, target = request.decode().split()[:2]
                self.methods.append(method)
                self.targets.append(target)
                status, body = self.answer(target)
                text = json.dumps(body).encode()
                head = f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
                connection.sendall(head.encode() + text)

    def __enter__(self) -> "FakeDaemon":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
