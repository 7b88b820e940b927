"""The evidence packet as PDF.

Belongs here: drawing a packet of `domain.packet` as PDF, and its fonts. Does not belong here: the content of the packet, and
who may read it (`app.api.packets`).
"""

from __future__ import annotations

from app.pdf.render import draw

__all__ = ["draw"]
