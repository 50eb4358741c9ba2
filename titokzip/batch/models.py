"""The models that files ask for."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from titokzip import zoo

if TYPE_CHECKING:  # torch is imported when the first model is loaded
    from titokzip.codec import Codec


class Models:
    """Finds the codec that a file asks for by its fingerprint, and keeps those found."""

    def __init__(self, name: str | None, load: "Callable[[zoo.Manifest], Codec]") -> None:
        self.name, self.load = name, load
        self.codecs: dict[bytes, Codec] = {}
        self.lock = threading.Lock()

    def __call__(self, fingerprint: bytes) -> "Codec":
        """Load the model of a file, or the one that was named, once.

        Raises:
            ModelError: it is not here.
        """
        with self.lock:
            key = b"" if self.name else fingerprint
            if key not in self.codecs:
                manifest = zoo.find(self.name) if self.name else zoo.find_fingerprint(fingerprint)
                self.codecs[key] = self.load(manifest)
            return self.codecs[key]
