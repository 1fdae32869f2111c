"""What all backends share: a request goes in, a completion comes out, or a fault is raised."""

from typing import NamedTuple, Protocol

from gritmill.stages.generation.request import ChatRequest


class Completion(NamedTuple):
    """What came back, as it is kept on disk.

    >>> Completion("openai", "gpt-4o-2024-11-20", "Question:\\n...", "stop", 812, 143)
    """

    backend: str
    """Who answered; `echo` marks words that no model wrote."""
    model: str
    """As the server names it."""
    text: str
    finish_reason: str
    """`stop`, `length`, `content_filter` or `refusal`; whatever else a server says is kept as it is."""
    tokens_in: int
    tokens_out: int

    @property
    def is_sound(self) -> bool:
        """False for one that was read from a file that somebody else has written."""
        texts = (self.backend, self.model, self.text, self.finish_reason)
        counts = (self.tokens_in, self.tokens_out)
        return all(isinstance(t, str) for t in texts) and all(type(c) is int for c in counts)


class Fault(Exception):
    """A call that brought no reply. `str()` says why in the server's words, shortened, without secrets."""

    def __init__(
        self,
        words: str,
        *,
        reason: str = "server_error",
        again: bool = True,
        wait: float | None = None,
        throttled: bool = False,
        charged: bool = False,
    ) -> None:
        super().__init__(words)
        self.reason = reason
        """Why the sample is rejected if no other try helps."""
        self.again = again
        """Another try may help."""
        self.wait = wait
        """Seconds that the server asks to wait (`Retry-After`)."""
        self.throttled = throttled
        """The server has too much to do: everybody should slow down."""
        self.charged = charged
        """It may have been paid for all the same: the connection was cut, or the reply was garbage."""


class Backend(Protocol):
    """One way to have requests answered."""

    async def complete(self, request: ChatRequest) -> Completion:
        """Raises `Fault` where no reply came, `UserError` where none can ever come."""
        ...

    async def close(self) -> None: ...
