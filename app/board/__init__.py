"""The board: the gateway's pages for people. Server-rendered, no build step, nothing fetched from elsewhere.

What belongs here: sign-in, the pages, the forms that post events through the same inbox as every feed, their templates,
style and script. What does not: rules, judgements and answers for programs; a page shows what the last decision showed.
Pages carry opaque ids; who the patient is appears only in the answer to an explicit, audited request.
"""

from app.board.routes import install

__all__ = ["install"]
