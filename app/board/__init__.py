"""The board: the gateway's web pages, rendered on the server, without a build step or external files.

Belongs here: sign-in, pages, forms that post events through the inbox, templates, style and script. Does not belong here:
rules, decisions and API responses; a page shows the last decision. Pages have opaque IDs; a patient's identity appears only
in the response to an explicit, audited request.
"""

from app.board.routes import install

__all__ = ["install"]
