"""A dataset in the browser: its samples page by page, what was dropped, two datasets side by side.

    side = open_side("out/grit")
    with Server(View([side]), "127.0.0.1", 0) as server:
        print(server.url)
        server.serve_forever()

Nothing is written, and nothing is read before it is asked for but the headers of the tars.
"""

from gritmill.pipeline.view.app import Viewer
from gritmill.pipeline.view.server import Server
from gritmill.pipeline.view.side import Side, open_side

__all__ = ["Server", "Side", "Viewer", "open_side"]
