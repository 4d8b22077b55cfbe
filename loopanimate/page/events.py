"""The page: its widgets and all that happens on it, each duty in a module of its own."""

from loopanimate.page.hands import HandEvents
from loopanimate.page.jobs import Server
from loopanimate.page.programs import ProgramEvents
from loopanimate.page.returning import ReturnEvents


class Page(ReturnEvents, HandEvents, ProgramEvents):
    """The widgets and what they do."""

    def __init__(self, server: Server):
        super().__init__(server)
        self.wire_jobs()
        self.wire_masks()
        self.wire_hands()
        self.wire_returns()
        self.wire_programs()
