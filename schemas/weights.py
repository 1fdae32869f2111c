"""What a stage will load: which model, from where, and where it lies on this machine if it does."""

from typing import Literal, NamedTuple


class Weights(NamedTuple):
    """A model that is loaded from files.

    >>> Weights("IDEA-Research/grounding-dino-tiny", "hub", "a2bb814dd30d...", unpinned="model_revision")
    """

    name: str
    """As the recipe says it: id on the hub, path, or package."""
    origin: Literal["hub", "disk", "package"]
    """Disk is a file or folder of the user's own."""
    revision: str
    """Commit, digest of the content, or version; empty where it cannot be found out."""
    place: str = ""
    """File or folder on this machine; empty where there is none."""
    files: str = "*.safetensors"
    """Those of them that matter, where the place is a folder."""
    unpinned: str = ""
    """Option that would hold the recipe to this revision; empty where it is held to it."""
