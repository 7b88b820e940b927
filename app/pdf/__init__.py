"""The evidence packet as pages.

Belongs here: drawing a packet of `domain.packet` as a PDF, and the fonts it embeds. Does not belong here: what the packet
says, and who may have it (`app.api.packets`).
"""

from __future__ import annotations

from app.pdf.render import draw

__all__ = ["draw"]
